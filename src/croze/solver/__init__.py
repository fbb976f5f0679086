"""The decision core: load, share, match, schedule, cancel.

It knows vertices, keys and results; no file, container, socket or protobuf.
"""
