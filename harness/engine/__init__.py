"""What runs one job on a host: ``probe, submit, poll, fetch, cancel, list``, the same for every engine.

Comes in: a connection and a job. Goes out: a handle, states and result files. An engine is one file in ``kinds``, found
by ``registry.py``; begin with ``interface.py``.
"""
