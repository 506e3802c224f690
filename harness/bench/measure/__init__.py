"""Measure one case: read the data, build loader and model, run the epochs, write what was seen.

Comes in: a request with its case. Goes out: the journal of epochs and ``result.json``. Begin with ``benchmark.py`` and
``invocation.py``.
"""
