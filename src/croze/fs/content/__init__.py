"""Content digests of paths in a tree, what is remembered of them, and what differs by them."""
