"""Croze: Docker Build, whole, in Python.

An engine (`crozed`) and a client (`croze`) that speak BuildKit's protocols. Start with
`docs/life-of-a-build.md`, which follows one build through every room of this package.
"""

__version__ = "0.1.0"
