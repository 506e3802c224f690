"""The first process of a job: it starts the benchmark, watches it and the host, and says how it ended.

Comes in: a job's folder. Goes out: ``exit.json``, samples and a capped log. Begin with ``supervisor.py``.
"""
