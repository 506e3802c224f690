"""Conclusions from records and facts: validity, findings, predictions, comparisons, advice. Pure.

Input: records, facts, cases. Output: typed results that console and report show. Nothing here talks to a host or reads
a file. Begin with ``summary.py``, ``matrix.py`` and ``findings.py`` for records, and with ``checks.py`` for hosts.
"""
