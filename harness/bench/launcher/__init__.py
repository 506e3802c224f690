"""Start a job on a host and confine it: cgroup, folders, its end. Standard library only.

Comes in: a job's description from the engine. Goes out: the supervisor's process in its cgroup, and its state. Begin
with ``jobs.py``.
"""
