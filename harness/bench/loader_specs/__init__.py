"""Specifications of the loaders: each module defines ``LOADERS`` for one loader or a few related ones.

Standard library only: a controller without TensorFlow reads them. To add a loader, add a file as shown in
docs/contributing/loader.md; there is no table to edit.
"""
