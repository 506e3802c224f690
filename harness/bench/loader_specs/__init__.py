"""What loaders say of themselves: each module holds ``LOADERS``, of one or a few that belong together.

Standard library only: a controller without TensorFlow reads it. To add a loader, add a file;
docs/contributing/loader.md shows one. There is no table to edit.
"""
