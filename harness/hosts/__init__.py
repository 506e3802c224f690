"""How a host is reached, what it is, and whose it is just now.

Comes in: a route from the inventory. Goes out: a connection (``run, open_channel, put, get``), facts, and the machine's
lock. Begin with ``connection.py``; ``ssh`` and ``facts`` are folders of their own.
"""
