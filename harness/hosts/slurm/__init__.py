"""Connections to nodes of a Slurm cluster through its login node.

Input: the login node's connection and the inventory's settings of the cluster. Output: a connection for commands and
files on the login node, and another one whose commands run as jobs on a node. Begin with ``connection.py``.
"""
