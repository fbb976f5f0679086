"""What can be done with a place that holds images. `registry_place` and `layout_place` do it.

For example:

    manifest = await source.resolve()
    data = await source.read(manifest)
    await target.publish(manifest, data)
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from croze.image.descriptor import Descriptor
from croze.imagetools.location import Location

LARGEST_READ_BYTES = 256 << 20
"""The largest blob that is read into memory: an attestation may be large."""


SUBJECT = "io.containerd.manifest.subject"
"""Annotation of an entry of a layout's `index.json` that is no image of its own: what it refers
to."""


def without_subject(descriptor: Descriptor) -> Descriptor:
    """The descriptor without the annotation by which a layout knows what a manifest refers to."""
    annotations = {k: v for k, v in descriptor.annotations.items() if k != SUBJECT}
    return msgspec.structs.replace(descriptor, annotations=annotations)


class Place(Protocol):
    """One location. All bytes that come out of it have been checked against their digests."""

    @property
    def location(self) -> Location:
        """Which registry reference or layout directory this is."""

    async def resolve(self) -> Descriptor:
        """What the location names now. Raises `NotFound`."""

    async def read(self, descriptor: Descriptor) -> bytes:
        """A manifest, a config or an attestation. Raises `NotFound` and `Corrupted`."""

    async def bring(self, descriptor: Descriptor, folder: Path) -> Path:
        """A blob as a file, which may lie in `folder`. Raises `NotFound` and `Corrupted`."""

    async def referrers(self, digest: str) -> Sequence[Descriptor]:
        """Manifests that refer to one, such as signatures and attestations."""

    async def put_blob(
        self, descriptor: Descriptor, source: Location, bring: Callable[[], Awaitable[Path]]
    ) -> None:
        """Take a blob in unless it is here. `bring` is called only if its bytes must move."""

    async def put_manifest(self, descriptor: Descriptor, data: bytes) -> None:
        """Take a manifest in, whose parts are here, under its digest alone."""

    async def put_referrer(self, subject: str, descriptor: Descriptor) -> None:
        """Make a manifest that was put found by what it refers to."""

    async def publish(self, descriptor: Descriptor, data: bytes) -> None:
        """Take a manifest in under the location's name."""


def check_target(location: Location, digest: str) -> str | None:
    """Why an image can't be put at a location: it names another digest. None if it can."""
    if location.digest and location.digest != digest:
        return f"target {location} requested digest {location.digest} but produced {digest}"
    return None
