"""`harness ship`, and what `run` sends with it: images, data sets, weights.

Begin with ``ship_hosts.py``; what a session sends is in ``bringing.py``.
"""
