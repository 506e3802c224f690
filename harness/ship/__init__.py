"""Send, check and verify what a host needs before it can measure: image, payload, data sets and weights.

Input: a reached host, and the needs of its cases. Output: the same on the host, complete and verified. Begin with
``needs.py`` (what is missing) and ``bringing.py`` (what is sent).
"""
