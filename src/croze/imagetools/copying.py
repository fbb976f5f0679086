"""Manifests and what belongs to them from one place to another: only what is missing moves."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from croze.aio.locks import KeyedLocks
from croze.aio.parallel import all_of
from croze.aio.threads import in_thread
from croze.errors import InvalidRequest
from croze.image import descriptor as media
from croze.image import manifest as manifests
from croze.image.descriptor import Descriptor
from croze.imagetools.combine import ATTESTATION_ARTIFACT
from croze.imagetools.contract import Place
from croze.registry.push import is_foreign

KEPT_REFERRERS = frozenset(
    {
        ATTESTATION_ARTIFACT,
        "application/vnd.dev.cosign.artifact.sig.v1+json",
        "application/vnd.dev.sigstore.bundle.v0.3+json",
    }
)
"""Artifact types of what goes along with a manifest that it refers to."""

_DEEPEST = 32
"""Indexes in indexes, and what refers to what refers: nobody needs as many."""
_AT_ONCE = 8


class ImageCopier:
    """Copies to one target, each digest once however many ask for it."""

    def __init__(self, target: Place, folder: Path) -> None:
        """`folder` holds blobs on their way."""
        self._target = target
        self._folder = folder
        self._locks: KeyedLocks[str] = KeyedLocks()
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._manifests: set[str] = set()
        self._blobs: set[str] = set()
        self._referrers: list[tuple[str, Descriptor]] = []

    async def copy(self, source: Place, root: Descriptor, depth: int = 0) -> None:
        """Copy a manifest or an index, with all below it and what is attested of it."""
        if depth > _DEEPEST:
            raise InvalidRequest(f"manifest {root.digest} is nested more than {_DEEPEST} deep")
        async with self._locks.of(root.digest):
            if root.digest in self._manifests:
                return
            data = await source.read(root)
            await all_of(self._child(source, child, depth) for child in _children(root, data))
            await self._target.put_manifest(root, data)
            self._manifests.add(root.digest)
        for one in await source.referrers(root.digest):
            if one.artifact_type in KEPT_REFERRERS and one.digest != root.digest:
                self._referrers.append((root.digest, one))
                await self.copy(source, one, depth + 1)

    async def finish(self) -> None:
        """Have what was copied along be found from the image; once that is published."""
        for subject, one in self._referrers:
            await self._target.put_referrer(subject, one)

    async def _child(self, source: Place, child: Descriptor, depth: int) -> None:
        if child.media_type in media.INDEX_TYPES | media.MANIFEST_TYPES:
            await self.copy(source, child, depth + 1)
        elif not is_foreign(child):
            await self._blob(source, child)

    async def _blob(self, source: Place, blob: Descriptor) -> None:
        async with self._locks.of(blob.digest), self._slots:
            if blob.digest in self._blobs:
                return
            brought: list[Path] = []

            async def bring() -> Path:
                brought.append(await source.bring(blob, self._folder))
                return brought[-1]

            await self._target.put_blob(blob, source.location, bring)
            self._blobs.add(blob.digest)
            for path in brought:
                if path.parent == self._folder:
                    await in_thread(path.unlink, missing_ok=True)


def _children(root: Descriptor, data: bytes) -> Sequence[Descriptor]:
    if root.media_type in media.INDEX_TYPES:
        return manifests.parse_index(data).manifests
    if root.media_type not in media.MANIFEST_TYPES:
        raise InvalidRequest(f"{root.media_type} is not a manifest that can be copied")
    manifest = manifests.parse_manifest(data)
    return (manifest.config, *(manifest.layers or ()))
