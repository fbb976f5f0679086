"""A file tree as an index and packs, so that its next state needs few new bytes.

File content is cut into chunks (`chunking`), each named by its SHA-256. New chunks are appended
to new packs; old packs stay as they are, as long as enough of them is still in use. The index says
which chunks make up which file. Plain functions for worker processes. docs/cache-mounts.md has the
format.
"""
