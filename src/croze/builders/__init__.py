"""Builders and their nodes: the files under `~/.docker/buildx`, shared with buildx both ways.

What may go in: the values, the files and their lock, docker contexts as implicit builders, and the
choice of builder and node. No daemon is dialled here; `drivers/` does that.
"""
