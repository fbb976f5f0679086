"""File-tree algorithms over paths: walk, match, copy, checksum, diff, tar in, tar out, compress.

Plain functions of plain values, so that they can run in worker processes.
"""
