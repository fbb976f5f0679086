"""Files and sockets that are one user's: written whole or not at all, in directories and locks that
nobody else made, over sockets whose other end is known; and URLs shown without what they keep.

Imports nothing but the standard library's lightest: the thin start of the command comes by here.
"""
