"""A session on one host: which invocations it has, and running them one after the other until each has its record.

Comes in: cases, and a host that is prepared (``setup``). Goes out: records and events, into the session's folder
(``harness.records``); a session that is run again goes on with what is left.

Begin with ``invocations`` (what is to do, and what is left of it) and ``runner`` (doing it).
"""
