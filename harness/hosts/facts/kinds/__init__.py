"""The facts: every module-level ``Fact`` in this package is read from every host.

To add a fact, add a file, as docs/contributing/fact.md shows. There is no table to edit.
"""
