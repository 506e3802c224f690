"""Find, read, check, describe and generate data sets, without TensorFlow.

Input: a folder, a COCO pair, a list, TFRecord files, or a profile to generate. Output: a manifest of images and labels
with a fingerprint. Begin with ``dataset.py``.
"""
