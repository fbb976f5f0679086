"""Tar archives and layer blobs: headers, reading, writing, compression, extraction."""
