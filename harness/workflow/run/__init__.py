"""`harness run`: hosts prepared, measured round by round, waited for and cleaned up, each in a thread of its own.

Comes in: the options. Goes out: a session's folder, its report and an exit code. Begin with ``run.py``, then
``hostwork.py``: there a host is looked at (``ship/needs.py``), brought what it lacks (``ship/bringing.py``), and
prepared (``preparing.py``).
"""
