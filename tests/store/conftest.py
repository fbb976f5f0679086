"""A store on a temporary root, with threads in place of worker processes."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from croze.fs.mount import enter_private_namespace
from croze.store.contract import SnapshotterName
from croze.store.open import Store, open_store
from croze.store.trash import Trash
from tests.store.pools import ThreadPool
from tests.store.sources import Sources

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount")


@pytest.fixture(scope="session", autouse=True)
def private_namespace() -> None:
    if os.geteuid() == 0:
        enter_private_namespace()


@pytest.fixture
def trash(tmp_path: Path) -> Iterator[Trash]:
    trash = Trash(tmp_path)
    yield trash
    trash.close()


@pytest.fixture
def pool() -> ThreadPool:
    return ThreadPool()


@pytest.fixture(
    params=[
        pytest.param("overlayfs", marks=[pytest.mark.root, root_only]),
        pytest.param("native", marks=[pytest.mark.root, root_only]),
    ]
)
def kind(request: pytest.FixtureRequest) -> SnapshotterName:
    return "native" if request.param == "native" else "overlayfs"


@pytest.fixture
def sources() -> Sources:
    return Sources()


class Opener:
    """Opens the same root again and again."""

    def __init__(self, root: Path, pool: ThreadPool, kind: SnapshotterName, sources: Sources):
        self.root = root
        self._pool = pool
        self._kind: SnapshotterName = kind
        self._sources = sources

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[Store]:
        store = await open_store(
            self.root, self._pool, snapshotter=self._kind, fetchers=self._sources.fetcher
        )
        try:
            yield store
        finally:
            await store.close()
        assert not list((self.root / "mnt").iterdir())
        assert not list((self.root / "ingest").iterdir())


@pytest.fixture
def opener(tmp_path: Path, pool: ThreadPool, kind: SnapshotterName, sources: Sources) -> Opener:
    return Opener(tmp_path / "root", pool, kind, sources)


@pytest.fixture
async def store(opener: Opener) -> AsyncIterator[Store]:
    async with opener() as store:
        yield store
        assert await store.verify() == []
