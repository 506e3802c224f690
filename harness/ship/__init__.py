"""What a host needs before it can measure: image, payload, data sets, weights; sent, checked and proven.

Comes in: a connection or an engine, and what is wanted. Goes out: the same on the host, complete and verified. Begin
with ``image.py`` and ``data_inspection.py``.
"""
