"""A containerized multi-host benchmark harness for image input pipelines.

The folders tell the way of the data: an inventory and an experiment become a
plan, the plan becomes invocations on hosts, each invocation becomes a record,
and the records become one HTML report.
"""

__version__ = "0.2.0"
