"""What is proven before anything is measured: same work, memory and speed in small, a limit that holds.

Comes in: a request with the settings of a session. Goes out: ``dataset.json`` with what was found for each. Begin with
``samework.py``.
"""
