"""What functions ask of the world; everything else they do is arithmetic."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol


class Surroundings(Protocol):
    """What functions may ask of the machine."""

    def now(self) -> datetime:
        """The time, in UTC."""
        ...

    def home(self) -> str:
        """The user's home directory."""
        ...

    def random_bytes(self, size: int) -> bytes:
        """Bytes fit for secrets (salts, identifiers), `size` of them."""
