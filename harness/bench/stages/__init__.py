"""What the stages of a pipeline cost: the same loader made to stop earlier and earlier, and the differences.

Comes in: cases that stand for others, of a preparation job. Goes out: CPU seconds an image by stage. Nothing that
measures imports anything of it. Begin with ``stage_costs.py``.
"""
