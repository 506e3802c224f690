"""`harness plan`: what `run` would do on each host, and how long it would take. Begin with ``plan.py``."""
