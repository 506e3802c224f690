"""Exporters, one a file: each turns records into the bytes of one format."""
