"""Made-up layers, and a source that hands them out and counts."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import io
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from croze.errors import NotFound
from croze.image.descriptor import OCI_LAYER_GZIP, Descriptor
from croze.store.contract import BlobFetcher, BlobStore, LayerBlob, LazyLayer


def sha256(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def make_tar(entries: Mapping[str, bytes | None]) -> bytes:
    """Files by path (None: a directory), parents first."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for path, content in entries.items():
            info = tarfile.TarInfo(path)
            info.mtime = 1_600_000_000
            if content is None:
                info.type, info.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(info)
            else:
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


@dataclass
class Sources:
    """Blobs somewhere else."""

    blobs: dict[str, bytes] = field(default_factory=dict)
    fetched: list[str] = field(default_factory=list)
    started: asyncio.Event = field(default_factory=asyncio.Event)
    gate: asyncio.Event | None = None
    """Fetches wait here, half done."""
    spent: bool = False
    forgotten: bool = False
    """No fetcher is made anew."""

    def layer(self, entries: Mapping[str, bytes | None]) -> LazyLayer:
        """A layer that is known here and can be fetched."""
        tar = make_tar(entries)
        blob = gzip.compress(tar, mtime=0)
        self.blobs[sha256(blob)] = blob
        descriptor = Descriptor(OCI_LAYER_GZIP, sha256(blob), len(blob))
        return LazyLayer(LayerBlob(descriptor, sha256(tar)), self.fetcher({"kind": "test"}))

    def fetcher(self, origin: Mapping[str, str]) -> BlobFetcher:
        if self.forgotten:
            raise NotFound("nobody knows")
        return _Fetcher(self, origin)


class _Fetcher:
    def __init__(self, sources: Sources, origin: Mapping[str, str]) -> None:
        self._sources = sources
        self._origin = origin

    @property
    def origin(self) -> Mapping[str, str]:
        return self._origin

    @property
    def spent(self) -> bool:
        return self._sources.spent

    async def fetch(
        self, descriptor: Descriptor, blobs: BlobStore, sessions: Sequence[str]
    ) -> None:
        if blobs.has(descriptor.digest):
            return
        if descriptor.digest not in self._sources.blobs:
            raise NotFound(f"no blob {descriptor.digest}")
        self._sources.fetched.append(descriptor.digest)
        async with blobs.writer() as writer:
            self._sources.started.set()
            if self._sources.gate is not None:
                await self._sources.gate.wait()
            writer.write(self._sources.blobs[descriptor.digest])
            await writer.commit(digest=descriptor.digest)
