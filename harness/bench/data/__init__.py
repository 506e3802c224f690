"""Data sets: found, read, checked, described and generated, without TensorFlow.

Comes in: a folder, a COCO pair, a list, TFRecord files, or a profile to generate. Goes out: a manifest of images and
labels with a fingerprint. Begin with ``manifest.py``.
"""
