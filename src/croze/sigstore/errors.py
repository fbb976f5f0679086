"""The error for a signature that does not hold."""

from __future__ import annotations

from croze.errors import PermissionDenied


class NotVerified(PermissionDenied):
    """A signature, or a witness of it, does not prove what it should."""
