"""A session's folder: its format in one place, for those who write it and those who read it.

Comes in: a folder, or what a page of a report carries. Goes out: the session's content, records and events as typed
values; and what ``run`` appends. There is one reader with two attitudes: ``run`` refuses what is wrong
(``reading.refuse``), a report makes a note of it and goes on.

Begin with ``folder`` (what lies where), ``content`` (``session.json``) and ``reading``.
"""
