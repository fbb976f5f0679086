"""The runtime's own error."""

from __future__ import annotations

from croze.errors import CrozeError


class StartError(CrozeError):
    """The OCI runtime could not start the process (no such executable, a mount that fails); the
    message is its reason."""
