"""The commands as sequences of stages. The only package that knows their order.

Input: the options of one command. Output: an exit code, and text on the console. Each kind of command has a folder:
``run``, ``advise``, ``plan``, ``machines`` (check, facts, trust, clean, ship) and ``local`` (commands that contact no
host); the modules beside them are shared. Begin with ``run/run.py``.
"""
