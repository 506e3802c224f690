"""What travels between packages: facts, case, record, event, prediction, errors, units. Frozen and typed.

Comes in: JSON of a host, a job or a file, parsed here once. Goes out: values. Begin with ``case.py`` and ``record.py``.
"""
