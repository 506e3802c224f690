"""Frozen, typed values that packages exchange: facts, case, record, event, prediction, errors, units.

Input: JSON from hosts, jobs and files, parsed here once. Output: values. Begin with ``case.py`` and ``record.py``.
"""
