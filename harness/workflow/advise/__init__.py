"""``harness advise``: from a folder of images to an answer.

Comes in: what a user asked. Goes out: an inventory and an experiment in the folder of an ordinary session, which is
run, and its answer. Begin with ``advise.py``.
"""
