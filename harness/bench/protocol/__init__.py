"""The interface of controller and benchmark: files of a job, loaders by name, errors. Standard library only.

Output: names, typed requests and the registry of loaders, for both sides. Begin with
``protocol.py``.
"""
