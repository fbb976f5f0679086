"""Who looks on while blobs are written: what is read before it is whole has its sums only then."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol


class BlobWatch(Protocol):
    """An observer of a blob while it is written."""

    def on_begun(self, path: Path) -> None:
        """A file has been made for them. Whoever writes may begin once more, with another."""

    def on_written(self, total_bytes: int) -> None:
        """The file has this many bytes now. Called on any thread."""

    def on_complete(self) -> None:
        """All bytes have been written; they are not verified yet."""


class LayerWatch(Protocol):
    """Told of the blobs of layers that are made, so that nobody need wait for their ends who sends
    them on. Raises nothing."""

    def on_begun(self, path: Path) -> None:
        """A blob is to be written into this file, which is empty, by appending. Not every one
        comes to its end."""

    def on_made(self, path: Path, digest: str, size: int) -> None:
        """That file is whole; it may get another name now."""
