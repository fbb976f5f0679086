"""What the store promises of the names of images, beside `RefStore` and `BlobStore`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from msgspec import Struct, field

from croze.image.descriptor import Descriptor


class ImageRecord(Struct, frozen=True):
    """A named image in the local image store: its manifest or index."""

    name: str
    """Normalised, e.g. `docker.io/library/app:latest`."""
    target: Descriptor
    updated_at: datetime
    labels: Mapping[str, str] = field(default_factory=dict)


OnName = Callable[[str, str, bool], None]
"""A name, the digest that it is for, and whether it was set (or is gone)."""


class ImageStore(Protocol):
    """Names for images whose blobs are in the blob store. A name holds its blobs against prune."""

    def watch(self, on_name: OnName) -> None:
        """Tell of every change from now on, at once."""

    def set(self, name: str, target: Descriptor) -> None:
        """Give the image of `target` a name, in place of what had it. Raises `NotFound` if the
        target's blob is not here, `InvalidRequest` for a name that is not normalised."""

    def get(self, name: str) -> ImageRecord:
        """The image of that name. Raises `NotFound`."""

    def list(self) -> Sequence[ImageRecord]:
        """All images, by name."""

    def delete(self, name: str) -> None:
        """Forget a name. The blobs go with the next prune if nothing else holds them. Raises
        `NotFound`."""
