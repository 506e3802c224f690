"""``harness advise``: from a folder of images to an answer.

Input: the options of the command. Output: an inventory and an experiment in the folder of an ordinary session, the
session's records, and its answer. Begin with ``advise.py``.
"""
