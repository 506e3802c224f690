"""A node of a cluster behind a login node of Slurm.

Comes in: the login node's connection and what the inventory says of the cluster. Goes out: the same connection for
commands and files, and another one whose commands run in jobs on the node. Begin with ``connection.py``.
"""
