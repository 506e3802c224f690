"""The engines: each module is one, its name is the engine's, and its ``SPEC`` is all that the rest needs of it.

To add an engine, add a file; docs/contributing/engine.md shows one. There is no table to edit.
"""
