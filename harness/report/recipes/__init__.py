"""Recipes: the loader of a case as a script to paste, for the data that was measured.

``recipe`` decides which parts a script needs (pure); ``templates/*.py.j2`` are the parts, in the order of the data:
constants, list of files, read, decode, cache, batch, model. ``tests/report/test_recipes.py`` compares each script with
its loader.
"""
