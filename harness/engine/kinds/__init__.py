"""The engines: one module each, named like the engine; the other packages use only its ``SPEC``.

To add an engine, add a file, as docs/contributing/engine.md shows. There is no table to edit.
"""
