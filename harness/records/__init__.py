"""The format of a session's folder: reading and writing it.

Input: a folder, or the data in a report page. Output: the session's content, records and events as typed values, and
the files that ``run`` appends to. One reader has two modes: ``run`` raises errors (``reading.refuse``), a report notes
them and continues.

Begin with ``folder`` (the files), ``content`` (``session.json``) and ``reading``.
"""
