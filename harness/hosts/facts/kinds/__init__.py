"""The facts: every ``Fact`` that stands at the top of a module here is read from every host.

To add a fact, add a file; docs/contributing/fact.md shows one. There is no table to edit.
"""
