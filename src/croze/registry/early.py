"""Layers on their way to a registry while they are made."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from croze.aio.parallel import Meanwhile, meanwhile
from croze.registry.client import Repository
from croze.registry.growing import GrowingBlob, push_growing


@contextlib.asynccontextmanager
async def early_push(repo: Repository) -> AsyncIterator[EarlyPush]:
    """What has not been brought up when this is left is left alone."""
    async with meanwhile() as beside:
        yield EarlyPush(repo, beside)


class EarlyPush:
    """`LayerWatch` that brings to a repository what it is told of. It never fails: what it has not
    brought there is pushed as anything is."""

    def __init__(self, repo: Repository, beside: Meanwhile) -> None:
        self._repo = repo
        self._beside = beside
        self._by_path: dict[Path, _Upload] = {}
        self._by_digest: dict[str, _Upload] = {}

    def on_begun(self, path: Path) -> None:
        """See `LayerWatch`."""
        upload = self._by_path[path] = _Upload(path)
        self._beside.begin(upload.run(self._repo))

    def on_made(self, path: Path, digest: str, size: int) -> None:
        """See `LayerWatch`."""
        upload = self._by_digest[digest] = self._by_path.pop(path)
        upload.blob.complete(digest, size)

    async def has_pushed(self, repo: Repository, digest: str) -> bool:
        """Whether that repository has this blob from here; once it has, or never will."""
        upload = self._by_digest.get(digest)
        if upload is None or repo.ref.name != self._repo.ref.name:
            return False
        await upload.over.wait()
        return upload.is_there


class _Upload:
    def __init__(self, path: Path) -> None:
        self.blob = GrowingBlob(path)
        self.over = asyncio.Event()
        self.is_there = False

    async def run(self, repo: Repository) -> None:
        try:
            self.is_there = await push_growing(repo, self.blob)
        finally:
            self.over.set()
