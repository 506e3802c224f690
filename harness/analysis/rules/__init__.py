"""The findings: each module defines one family, its ``FAMILY``, with names, causes and cures, and a rule.

To add a finding, add a file or an entry; docs/contributing/finding.md shows an example. There is no table to edit.
"""
