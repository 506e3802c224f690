"""What a host needs before it can measure: image, payload, data sets, weights; sent, checked and proven.

Comes in: a reached host, and what is wanted. Goes out: the same on the host, complete and verified. Begin with
``needs.py`` (what is there) and ``bringing.py`` (what is sent).
"""
