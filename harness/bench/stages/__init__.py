"""Measure the stages of a pipeline: the same loader is stopped earlier and earlier, and differences are taken.

Input: cases that represent others, in a preparation job. Output: CPU seconds per image and stage. Nothing that measures
imports this package. Begin with ``stage_costs.py``.
"""
