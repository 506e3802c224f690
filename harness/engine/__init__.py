"""Engines, which run jobs on hosts: ``probe, submit, poll, fetch, cancel, list``, the same for every engine.

Input: a connection and a job. Output: a handle, states and result files. An engine is one file in ``kinds``, found
by ``registry.py``; begin with ``interface.py``.
"""
