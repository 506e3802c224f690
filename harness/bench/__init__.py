"""The benchmark payload: the code that is sent to a host and runs inside each job. Imports nothing else of harness.

Input: ``request.json`` in a job's folder. Output: result files beside it. The folders follow the processes:
``protocol`` (what controller and benchmark agree on), ``launcher`` (starts and confines a job), ``supervisor`` (the
job's first process and its samplers), and what the supervisor runs: ``data`` (describes, checks and generates data
sets), ``proof`` (same-work check, trial run, limit probe) or ``measure`` (one run with one of the ``loaders``).

Begin with ``protocol/protocol.py`` and ``measure/benchmark.py``.
"""
