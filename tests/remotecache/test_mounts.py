"""Contents of cache mounts on their way: names, limits, what goes and what stays. With a real
store, and caches that are dictionaries."""

from __future__ import annotations

import asyncio
import hashlib
import os
import stat
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pytest

from croze.digests import digest_of
from croze.errors import InvalidRequest, NotFound
from croze.fs.bundle.format import BundleIndex, BundleNode, encode
from croze.image.descriptor import Descriptor
from croze.job_values import JobKey
from croze.remotecache.imported import OpenedCache
from croze.remotecache.mounts import listing
from croze.remotecache.mounts.carried import BuildMounts
from croze.remotecache.mounts.exporting import MountsExport
from croze.remotecache.mounts.listing import LISTING, ListedBlob, ListedMount
from croze.remotecache.mounts.merging import MountOffer, bring
from croze.remotecache.mounts.options import MountOptions
from croze.remotecache.mounts.services import MountServices
from croze.remotecache.objects.contract import Bring
from croze.solver.caches import CacheSource
from croze.solver.contract import Vertex
from croze.status import Silent
from croze.store.contract import BlobStore, ImmutableRef, Sharing
from croze.store.open import Store, open_store
from tests.store.pools import ThreadPool

T = TypeVar("T")

SHARED = Sharing.SHARED
NEEDS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


# -- what is asked for -----------------------------------------------------------------------


# -- going and coming ------------------------------------------------------------------------


@dataclass
class Cache:
    """Somewhere else: `Target` and `BlobFetcher` at once."""

    blobs: dict[str, bytes] = field(default_factory=dict)
    beside: Sequence[Descriptor] = ()
    written: list[int] = field(default_factory=list)
    """Sizes of what was new."""
    stuck: asyncio.Event | None = None
    """Transfers wait for it."""

    @property
    def origin(self) -> Mapping[str, str]:
        return {}

    @property
    def spent(self) -> bool:
        return False

    async def has_blob(self, blob: Descriptor) -> bool:
        return blob.digest in self.blobs

    async def write_blob(self, blob: Descriptor, bring: Bring) -> None:
        if blob.digest not in self.blobs:
            if self.stuck is not None:
                await self.stuck.wait()
            data = (await bring()).read_bytes()
            assert "sha256:" + hashlib.sha256(data).hexdigest() == blob.digest
            self.blobs[blob.digest] = data
            self.written.append(len(data))

    async def fetch(
        self, descriptor: Descriptor, blobs: BlobStore, sessions: Sequence[str]
    ) -> None:
        if self.stuck is not None:
            await self.stuck.wait()
        if descriptor.digest not in self.blobs:
            raise NotFound(f"no blob {descriptor.digest}")
        await blobs.put(self.blobs[descriptor.digest])

    def opened(self) -> OpenedCache:
        nothing: CacheSource = None  # type: ignore[assignment]  # nobody looks results up
        return OpenedCache(nothing, self.beside, self)


@dataclass
class Said(Silent):
    lines: list[str] = field(default_factory=list)

    def log(self, stream: int, data: bytes) -> None:
        self.lines.append(data.decode())

    def warn(self, short: str, **_: object) -> None:
        self.lines.append(short)

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


@dataclass
class Context:
    """`OpContext`, as much of it as is asked."""

    progress: Said
    vertex: Vertex = field(default_factory=lambda: Vertex("sha256:1", None))

    def sessions(self) -> Sequence[str]:
        return ()

    def job_values(self, key: JobKey[T]) -> Sequence[T]:
        return ()


@dataclass
class Machine:
    store: Store
    services: MountServices
    said: Said = field(default_factory=Said)

    async def use(self, id: str, **files: str) -> dict[str, str]:
        """What a step finds, and then leaves."""
        async with (
            self.store.refs.cache_mount(id, None, SHARED) as ref,
            ref.mounted(readonly=False) as root,
        ):
            found = {path.name: path.read_text() for path in root.iterdir()}
            for name, text in files.items():
                (root / name).write_text(text)
        return found

    async def export(
        self, cache: Cache, *ids: str, build: BuildMounts | None = None, limit: int | None = None
    ) -> list[str]:
        """The names of what went."""
        export = MountsExport(
            self.services,
            build or BuildMounts(self.services),
            MountOptions(("*",), limit),
            dict.fromkeys(ids, SHARED),
            (),
        )
        cache.written.clear()
        cache.beside = await export.send(cache, self.said)
        found = [each for each in cache.beside if each.media_type == LISTING]
        if not found:
            return []
        assert all(each.digest in cache.blobs for each in cache.beside)
        return [m.id for m in listing.decode(cache.blobs[found[0].digest]).mounts]

    async def importing(self, cache: Cache) -> BuildMounts:
        build = BuildMounts(self.services)
        await build.look_into(cache.opened(), MountOptions(("*",)), ())
        return build

    async def bring(self, cache: Cache, id: str) -> None:
        for offer in (await self.importing(cache)).offers((id, "")):
            await bring(self.services, offer, None, SHARED, sessions=())

    def leftovers(self) -> list[str]:
        """What is neither a mount nor known."""
        scratch = [path.name for path in self.services.scratch.iterdir()]
        return [*scratch, *self.store.blobs.digests()]


@pytest.fixture
async def machine(tmp_path: Path) -> AsyncIterator[Machine]:
    async with opened(tmp_path / "one") as made:
        yield made


@pytest.fixture
async def other(tmp_path: Path) -> AsyncIterator[Machine]:
    async with opened(tmp_path / "other") as made:
        yield made


class opened:
    def __init__(self, root: Path) -> None:
        self._root = root

    async def __aenter__(self) -> Machine:
        async def base_digest(ref: ImmutableRef) -> str:
            return ref.id

        self._store = await open_store(self._root, ThreadPool(), snapshotter="native")
        scratch = self._root / "scratch"
        scratch.mkdir()
        services = MountServices(
            self._store.refs,
            self._store.refs.cache_mounts,
            ThreadPool(),
            scratch,
            base_digest,
            1 << 30,
        )
        return Machine(self._store, services)

    async def __aexit__(self, *_: object) -> None:
        await self._store.close()


@NEEDS_ROOT
async def test_there_and_back(machine: Machine, other: Machine) -> None:
    cache = Cache()
    await machine.use("/a", x="1")
    assert await machine.export(cache, "/a", "/unused") == ["/a"]
    await other.bring(cache, "/a")
    assert await other.use("/a", y="2") == {"x": "1"}
    assert await other.export(cache, "/a") == ["/a"]
    await machine.use("/a", z="3")
    await machine.bring(cache, "/a")
    assert await machine.use("/a") == {"x": "1", "y": "2", "z": "3"}
    assert machine.leftovers() == other.leftovers() == []
    assert await machine.store.verify() == []


@NEEDS_ROOT
async def test_who_was_used_last_stays_within_the_limit(machine: Machine) -> None:
    cache = Cache()
    for name in ("/old", "/large", "/new"):
        await machine.use(name, f="x" * (200 if name == "/large" else 50))
    ids = ("/large", "/new", "/old")
    assert await machine.export(cache, *ids, limit=120) == ["/new", "/old"]
    assert "cache mount large is not exported: it has 200 bytes" in machine.said.text
    assert await machine.export(cache, *ids, limit=50) == ["/new"]
    assert await machine.export(cache, *ids, limit=10) == []


@NEEDS_ROOT
async def test_what_a_cache_has_goes_on_with_it(machine: Machine, other: Machine) -> None:
    cache, next_cache = Cache(), Cache()
    await machine.use("/a", x="1")
    await machine.export(cache, "/a")
    build = await other.importing(cache)
    await other.use("/a", other="2")
    assert await other.export(next_cache, "/a", build=build) == ["/a"]
    assert next_cache.beside == cache.beside, "no step ran: what is here may lack some of it"
    build.ran.add(("/a", ""))
    assert await other.export(next_cache, "/a", build=build) == ["/a"]
    assert next_cache.beside != cache.beside
    assert other.leftovers() == []


@NEEDS_ROOT
async def test_a_mount_in_use_stays_as_it_is(machine: Machine, other: Machine) -> None:
    cache = Cache()
    await machine.use("/a", x="1")
    await machine.export(cache, "/a")
    async with other.store.refs.cache_mount("/a", None, SHARED):
        with pytest.raises(InvalidRequest, match="in use by another step or build"):
            await other.bring(cache, "/a")
    await other.bring(cache, "/a")
    assert await other.use("/a") == {"x": "1"}


@NEEDS_ROOT
@pytest.mark.parametrize("lost", ["listing", "index", "pack"])
async def test_what_is_lost_changes_nothing(machine: Machine, other: Machine, lost: str) -> None:
    cache = Cache()
    await machine.use("/a", x="1")
    await machine.export(cache, "/a")
    await other.use("/a", y="2")
    kinds = {"listing": LISTING, "index": listing.INDEX, "pack": listing.PACK}
    (gone,) = [each for each in cache.beside if each.media_type == kinds[lost]]
    del cache.blobs[gone.digest]
    with pytest.raises(NotFound):
        await other.bring(cache, "/a")
    assert await other.use("/a") == {"y": "2"}
    assert other.leftovers() == []


@NEEDS_ROOT
async def test_paths_that_are_too_long_for_this_machine(machine: Machine) -> None:
    cache = Cache()
    paths = [b"/".join([b"a" * 250] * deep) for deep in range(17)]
    nodes = tuple(BundleNode(path, stat.S_IFDIR | 0o755, 0, 0, 0) for path in paths)
    index = encode(BundleIndex(nodes, ()))
    mount = ListedMount(id="/a", index=ListedBlob(digest_of(index), len(index)))
    data = listing.encode([mount])
    cache.blobs = {digest_of(each): each for each in (index, data)}
    cache.beside = [Descriptor(LISTING, digest_of(data), len(data))]
    await machine.use("/a", y="2")
    build = await machine.importing(cache)
    await build.bring("/a", None, SHARED, Context(machine.said), description="")
    assert "failed to import cache mount a" in machine.said.text
    assert await machine.use("/a") == {"y": "2"}
    assert machine.leftovers() == []


@NEEDS_ROOT
async def test_what_is_broken_off_leaves_nothing(machine: Machine, other: Machine) -> None:
    cache = Cache()
    await machine.use("/a", x="1")
    await machine.export(cache, "/a")
    await other.use("/a", y="2")
    build = await other.importing(cache)
    (offer,) = build.offers(("/a", ""))
    cache.stuck = asyncio.Event()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await bring(other.services, offer, None, SHARED, sessions=())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await machine.export(Cache(stuck=cache.stuck), "/a")
    assert machine.leftovers() == other.leftovers() == []
    assert await other.use("/a") == {"y": "2"}
    assert len(other.services.store.all()) == 1


@NEEDS_ROOT
async def test_builds_that_want_the_same_at_once_bring_it_once(
    machine: Machine, other: Machine
) -> None:
    cache = Cache()
    await machine.use("/a", x="1")
    await machine.export(cache, "/a")
    builds = [await other.importing(cache) for _ in range(3)]
    cache.stuck = asyncio.Event()
    all_here = asyncio.Barrier(3)

    async def step(build: BuildMounts) -> None:
        await build.bring("/a", None, SHARED, Context(other.said), description="")
        async with (
            other.store.refs.cache_mount("/a", None, SHARED) as ref,
            ref.mounted(readonly=True) as root,
        ):
            assert os.listdir(root) == ["x"]
            await all_here.wait()

    async with asyncio.TaskGroup() as group:
        for build in builds:
            group.create_task(step(build))
        await asyncio.sleep(0)
        cache.stuck.set()
    assert len(other.said.lines) == 1, other.said.text
    assert "imported cache mount a: 1 files, 1 bytes" in other.said.text


@NEEDS_ROOT
async def test_packs_that_nobody_listed_are_not_fetched(machine: Machine, other: Machine) -> None:
    cache = Cache()
    await machine.use("/a", x="1")
    await machine.export(cache, "/a")
    (offer,) = (await other.importing(cache)).offers(("/a", ""))
    import msgspec

    bad = MountOffer(msgspec.structs.replace(offer.mount, packs=()), cache, 1 << 30)
    with pytest.raises(InvalidRequest, match="packs that are not listed"):
        await bring(other.services, bad, None, SHARED, sessions=())


@NEEDS_ROOT
async def test_two_who_bring_the_same(machine: Machine, other: Machine) -> None:
    cache = Cache()
    for id in ("/a", "/b"):
        await machine.use(id, x="1")
    await machine.export(cache, "/a", "/b")
    await asyncio.gather(other.bring(cache, "/a"), other.bring(cache, "/b"))
    assert [await other.use(id) for id in ("/a", "/b")] == [{"x": "1"}, {"x": "1"}]
    assert other.leftovers() == []


@NEEDS_ROOT
async def test_what_others_brought_meanwhile_stays(machine: Machine, other: Machine) -> None:
    """A pack may have the digest of a layer that another build is about to unpack."""
    cache = Cache()
    await machine.use("/a", x="1")
    await machine.export(cache, "/a")
    packs = [d for d in cache.beside if d.media_type == listing.PACK]
    async with other.services.fetched(cache, packs, ()):
        for pack in packs:
            await other.store.blobs.put(cache.blobs[pack.digest])
    assert other.leftovers() == [pack.digest for pack in packs]
