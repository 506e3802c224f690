"""What the controller and the benchmark agree on: files of a job, loaders by name, errors. Standard library only.

Comes in: nothing. Goes out: names, typed requests and the registry of loaders, for both sides. Begin with
``protocol.py``.
"""
