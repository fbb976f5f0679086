"""Go's types and their text forms, where BuildKit's users and digests see them.

What is here is plain functions on plain values.
"""
