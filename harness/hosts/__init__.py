"""Connections to hosts, facts about hosts, and the lock by which a session reserves a host.

Input: a route from the inventory. Output: a connection (``run, open_channel, put, get``), facts, and the machine's
lock. Begin with ``connection.py``; ``ssh``, ``slurm`` and ``facts`` are subpackages.
"""
