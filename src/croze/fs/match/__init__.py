"""Patterns of paths: ignore and include patterns, `.dockerignore` files.

Our own, and not `fnmatch` or `pathspec`: what matches decides what is in an image, and they differ
from moby's patternmatcher and Go's `path.Match` (slashes, `**`, `!` between patterns, backslashes);
and patterns come from strangers, so that matching must take linear time."""
