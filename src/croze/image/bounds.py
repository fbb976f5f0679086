"""How much is read of an image besides its layers: indexes, manifests, configs, attestations.

Each is small (`registry.pull.MAX_MANIFEST_BYTES`), but an index may name as many as it likes, and
who reads them keeps them.
"""

from __future__ import annotations

from typing import Final

from croze.errors import InvalidRequest

CONTENTS_MOST: Final = 1000
"""As many as it takes to find one image among hundreds of which no index says what platform they
are for."""
CONTENTS_MOST_BYTES: Final = 64 << 20


class TooManyContents(InvalidRequest):
    """More of an image than anybody reads."""


class ContentsBound:
    """Counts what is read of one image."""

    def __init__(self) -> None:
        self._count = self._size_bytes = 0

    def add(self, data: bytes) -> bytes:
        """The data, if it may be read, too. Raises `TooManyContents`."""
        self._count += 1
        self._size_bytes += len(data)
        if self._count > CONTENTS_MOST:
            raise TooManyContents(f"more than {CONTENTS_MOST} manifests and configs in one image")
        if self._size_bytes > CONTENTS_MOST_BYTES:
            size = f"{CONTENTS_MOST_BYTES >> 20} MiB"
            raise TooManyContents(f"manifests and configs of more than {size} in one image")
        return data
