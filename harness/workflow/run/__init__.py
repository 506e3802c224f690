"""`harness run`: prepare hosts, measure them round by round, and clean up. Each host has its own thread.

Input: the options. Output: a session's folder, its report and an exit code. Begin with ``run.py``, then
``hostwork.py``: it inspects a host (``ship/needs.py``), brings what is missing (``ship/bringing.py``) and prepares it
(``preparing.py``).
"""
