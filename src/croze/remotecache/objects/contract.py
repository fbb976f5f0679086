"""What a cache in object storage can do.

For example:

    if not await cache.has_blob(layer.digest):
        await cache.write_blob(layer, bring, progress)
    await cache.write_configs(config, progress)
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from croze.image.descriptor import Descriptor
from croze.status import Progress

Bring = Callable[[], Awaitable[Path]]
"""Brings a blob here; only called when its bytes must be sent."""

Take = Callable[[bytes], Awaitable[None]]
"""Takes the next bytes of a blob."""


OWN, GIVEN = "own", "given"


class ObjectCache(Protocol):
    """One cache at its place, with the credentials for it. Everything may be called from many
    tasks at once, and raises `CrozeError`: `NotFound` for what is not there."""

    @property
    def origin(self) -> Mapping[str, str]:
        """Says which cache this is, without secrets. Two with the same origin hold the same blobs.
        `credentials` in it is `OWN` if they are the daemon's: one that was restarted can open the
        cache again."""

    @property
    def spent(self) -> bool:
        """Whether the credentials are known to have expired."""

    async def write_blob(self, blob: Descriptor, bring: Bring, progress: Progress) -> None:
        """Make sure that the blob is there, and stays for a while. Idempotent. Others may write
        the same at the same time. What is broken off leaves no blob under its name."""

    async def write_configs(self, data: bytes, progress: Progress) -> None:
        """Write the cache config under all names that it shall have, over what is there."""

    async def read_configs(self, progress: Progress) -> Sequence[bytes]:
        """The configs to look into, those first that come first; none where there is no cache
        yet."""

    async def has_blob(self, digest: str) -> bool:
        """Ask for the blob, but not for its bytes."""

    async def read_blob(self, blob: Descriptor, take: Take) -> None:
        """All bytes in order, and no more than the blob's size; a transfer that breaks goes on
        where it broke. The digest is the caller's to verify."""
