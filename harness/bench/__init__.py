"""The benchmark: what runs inside each job on a host, sent there as the payload. Imports nothing of the rest.

Comes in: ``request.json`` in a job's folder. Goes out: result files beside it. The folders follow its processes:
``protocol`` (what controller and benchmark agree on), ``launcher`` (starts and confines a job), ``supervisor`` (the
first process in it and its samplers), and what it then runs: ``data`` (describes, checks and generates data sets),
``proof`` (same work, rehearsal, limit probe) or ``measure`` (an invocation, with one of the ``loaders``).

Begin with ``protocol/protocol.py`` and ``measure/benchmark.py``.
"""
