"""The runtime's own errors."""

from __future__ import annotations

from croze.errors import CrozeError, ResourceExhausted


class StartError(CrozeError):
    """The OCI runtime could not start the process (no such executable, a mount that fails); the
    message is its reason."""


class OutOfMemory(ResourceExhausted):
    """The kernel has killed the container's first process to have its memory. Other resources that
    are exhausted, as a full disk is, are not told so."""
