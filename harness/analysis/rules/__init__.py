"""The findings: each module is one family, its ``FAMILY``: what they are called, mean and come from, and a rule.

To add a finding, add a file (or an entry to one); docs/contributing/finding.md shows one. There is no table to edit.
"""
