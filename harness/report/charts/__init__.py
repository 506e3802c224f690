"""The charts: each module is one kind, which the page finds by its ``CHART``; pure functions of a setting.

To add a chart, add a file; docs/contributing/chart.md shows an example. There is no table to edit.
"""
