"""What travels beside a cache: blobs that its manifest lists and none of its records refers to.

Who doesn't know their media types passes them over: BuildKit only looks for the layers that records
name. So every kind of cache can carry them, with the same care (a registry's collector keeps what a
manifest lists, a copy of the cache takes them along), and a backend needs only two things:

- its exporter calls `Beside.send` before it writes the manifest, and lists what that returns after
  the cache's own layers. A backend whose manifest is a cache config with annotated layers (gha, s3,
  azblob) appends a layer for each; where it must say a diff ID, it says the blob's own digest.
- its importer hands on the descriptors of which `travels_beside` is true (`imported.OpenedCache`),
  with the fetcher that it has for layers, which can fetch them by digest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from croze.image.descriptor import Descriptor
from croze.remotecache.targets import BlobTarget
from croze.status import Progress

MEDIA_TYPES: Final = "application/vnd.croze."


class Beside(Protocol):
    """Something to be written with a cache."""

    async def send(self, target: BlobTarget, progress: Progress) -> Sequence[Descriptor]:
        """Write the blobs that are missing there; all that the manifest is to list. Errors are
        those of the target: they fail the export."""


def travels_beside(descriptor: Descriptor) -> bool:
    """Whether an entry of a cache's manifest is none of the cache's layers."""
    return descriptor.media_type.startswith(MEDIA_TYPES)
