"""The first process of a job: it starts the benchmark, watches it and the host, and reports how it ended.

Input: a job's folder. Output: ``outcome.json``, samples and a capped log. Begin with ``supervisor.py``.
"""
