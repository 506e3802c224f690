"""Checks before measuring: the same-work check, trial runs for memory and speed, a memory limit that is enforced.

Input: a request with the settings of a session. Output: ``dataset.json`` with the result of each. Begin with
``same_work.py``.
"""
