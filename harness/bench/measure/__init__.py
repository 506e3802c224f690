"""Measure one case: read the data, build loader and model, run the epochs, write the results.

Input: a request with its case. Output: ``events.jsonl`` and ``environment.json``. Begin with ``benchmark.py`` and
``invocation.py``.
"""
