"""A daemon reduced to store, sessions and registry client, and its clients."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path

from croze.aio.locks import KeyedLocks
from croze.errors import Range, SourceDetail
from croze.image import config as configs
from croze.image.config import ImageConfig, RootFS
from croze.image.descriptor import Descriptor
from croze.registry.client import Registry
from croze.registry.transport import Retry
from croze.session.contract import Session
from croze.session.lent_service import LentService
from croze.sources.content import Access, fetcher_of
from croze.sources.contract import BuildSources, SourceContext
from croze.sources.images import Images
from croze.store.contract import ImmutableRef, SnapshotterName
from croze.store.open import Store, open_store
from tests.registry.blobs import Folder
from tests.session.conftest import Daemon, Lend
from tests.store.pools import ThreadPool


class Recorder:
    """A `Progress` that remembers."""

    def __init__(self) -> None:
        self.logs: list[bytes] = []
        self.statuses: dict[str, tuple[int, int, bool]] = {}
        """id → (current, total, completed)"""

    def log(self, stream: int, data: bytes) -> None:
        self.logs.append(data)

    def status(
        self,
        id: str,
        *,
        current: int = 0,
        total: int = 0,
        name: str = "",
        started: datetime | None = None,
        completed: datetime | None = None,
    ) -> None:
        self.statuses[id] = (current, total, completed is not None)

    def warn(
        self,
        short: str,
        *,
        detail: Sequence[str] = (),
        url: str = "",
        level: int = 1,
        source: SourceDetail | None = None,
        ranges: Sequence[Range] = (),
    ) -> None:
        raise AssertionError(short)

    def unfinished(self) -> list[str]:
        return [id for id, (_, _, done) in self.statuses.items() if not done]


@dataclass
class Rig:
    """What sources and exporters need."""

    store: Store
    registry: Registry
    daemon: Daemon
    lend: Lend
    images: Images
    pool: ThreadPool
    progress: Recorder = field(default_factory=Recorder)
    builds: list[BuildSources] = field(default_factory=list)

    def source_context(self, *sessions: str, compatibility: int = 0) -> SourceContext:
        """Of a new build, which ends with the rig."""
        self.builds.append(BuildSources(compatibility))
        return SourceContext(sessions, self.progress, self.builds[-1])

    async def end_builds(self) -> None:
        while self.builds:
            await self.builds.pop().close()

    @asynccontextmanager
    async def client(self, *providers: LentService) -> AsyncIterator[Session]:
        async with self.lend(providers) as session:
            yield session


@asynccontextmanager
async def open_rig(
    root: Path, daemon: Daemon, lend: Lend, snapshotter: SnapshotterName = "auto"
) -> AsyncIterator[Rig]:
    """Everything is left clean, or the test fails."""
    pool = ThreadPool()
    registry = Registry(retry=Retry(first_s=0.001, limit_s=0.008))
    access = Access(registry, daemon.sessions, KeyedLocks())
    store = await open_store(
        root, pool, snapshotter=snapshotter, fetchers=partial(fetcher_of, access)
    )
    try:
        images = Images(access, store.blobs, store.images, store.names)
        rig = Rig(store, registry, daemon, lend, images, pool)
        yield rig
        await rig.end_builds()
        assert await store.verify() == []
    finally:
        await registry.close()
        await store.close()
    assert not list((root / "mnt").iterdir())
    assert not list((root / "ingest").iterdir())


async def files(ref: ImmutableRef) -> dict[str, bytes]:
    async with ref.mounted(readonly=True) as root:
        return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def tar_of(files: Mapping[str, bytes]) -> bytes:
    """A plain tar; a name with a trailing slash is a directory."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name.rstrip("/"))
            info.mtime = 1_600_000_000
            info.mode = 0o755 if name.endswith("/") else 0o644
            info.type = tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def add_image(folder: Folder, *layers: Mapping[str, bytes], arch: str = "amd64") -> Descriptor:
    """An image of gzipped layers with these files."""
    tars = [tar_of(layer) for layer in layers]
    diff_ids = tuple("sha256:" + hashlib.sha256(tar).hexdigest() for tar in tars)
    config = ImageConfig(
        architecture=arch,
        os="linux",
        created="2020-01-01T00:00:00Z",
        rootfs=RootFS("layers", diff_ids),
        history=tuple(
            configs.HistoryEntry(created="2020-01-01T00:00:00Z", created_by=f"layer {i}")
            for i in range(len(tars))
        ),
    )
    zipped = [gzip.compress(tar, mtime=0) for tar in tars]
    return folder.image(*zipped, config=configs.marshal(config))


__all__ = ["Recorder", "Rig", "add_image", "files", "open_rig", "tar_of"]
