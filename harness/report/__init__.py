"""The report: session folders in, one page and exports out; it asks no host anything.

``page.write_report`` makes the page, ``export.export_records`` the tables. Nothing is
imported here, so that a command's help does not wait for templates and tables.
"""
