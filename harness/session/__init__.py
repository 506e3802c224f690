"""A session on one host: its invocations (runs), executed one after the other until each has its record.

Input: cases and a prepared host (``setup``). Output: records and events in the session's folder (``harness.records``).
A session that is started again continues with what is left.

Begin with ``invocations`` (the plan, and what is left of it) and ``runner`` (its execution).
"""
