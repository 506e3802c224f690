"""Start a job on a host and confine it: its cgroup, its folders, its removal. Standard library only.

Input: a job's description from the engine. Output: the supervisor's process in its cgroup, and its state. Begin with
``jobs.py``.
"""
