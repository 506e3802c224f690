"""What follows from records and facts: validity, findings, predictions, comparisons, advice. Pure.

Comes in: records, facts, cases. Goes out: typed judgements that console and report show. Nothing here talks to a host
or reads a file. Begin with ``summary.py``, ``matrix.py`` and ``findings.py`` for records, ``checks.py`` for hosts.
"""
