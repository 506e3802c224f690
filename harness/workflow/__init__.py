"""The commands as lists of stages; the only place that knows their order.

Comes in: the options of one command. Goes out: an exit code; what is said goes to the console. A folder for each kind
of command: ``run``, ``advise``, ``plan``, ``machines`` (check, facts, trust, clean, ship) and ``local`` (what asks no
host); beside them what they share. Begin with ``run/run.py``.
"""
