"""The charts: each module is one, and its ``CHART`` is all that the page needs of it; pure functions of a setting.

To add a chart, add a file; docs/contributing/chart.md shows one. There is no table to edit.
"""
