"""Recipes: a loader as some fifteen lines to paste, folded out of the very source that measured.

``modules`` reads that source, ``values`` is what is known of it, ``folding`` runs it with the values of one case and
keeps what is left, ``writing`` prints that, ``recipe`` puts the list of files before it. Nothing of the payload is
imported and nothing of it is run here: only its text is read.
"""
