"""Writing a build's cache mounts beside its cache."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from msgspec import Struct, field

from croze.aio.parallel import all_of
from croze.aio.threads import in_thread
from croze.errors import CrozeError, NotFound, as_own
from croze.fs.bundle.memory import known_packs
from croze.fs.bundle.write import BundleBlob, TooLarge, TreeBundle, write_bundle
from croze.image import manifest as manifests
from croze.image.descriptor import Descriptor
from croze.remotecache.mounts import listing
from croze.remotecache.mounts.carried import BuildMounts, MountKey
from croze.remotecache.mounts.listing import INDEX, LISTING, PACK, ListedBlob, ListedMount
from croze.remotecache.mounts.merging import MountOffer
from croze.remotecache.mounts.options import MountOptions, shown
from croze.remotecache.mounts.services import (
    MEMORY,
    MERGED,
    MountServices,
    note_merged,
    rfc3339,
)
from croze.remotecache.targets import BlobTarget
from croze.status import Progress, step
from croze.store.cachemount_contract import CacheMountInfo
from croze.store.contract import Sharing


class MountCandidate(Struct, frozen=True):
    """A mount that may go: one here, or one of an imported cache that goes on as it is."""

    key: MountKey
    used_at: str
    here: CacheMountInfo | None = None
    offer: MountOffer | None = None


class MountsExport(Struct, frozen=True):
    """`Beside` for one exporter. `used`: the mounts of the build's steps, whether they ran or not,
    and how they share. `sessions` lend credentials for what goes on from another cache."""

    services: MountServices
    build: BuildMounts
    options: MountOptions
    used: Mapping[str, Sharing]
    sessions: Sequence[str]

    async def send(self, target: BlobTarget, progress: Progress) -> Sequence[Descriptor]:
        """See `Beside.send`."""
        for name in self.options.unknown(self.used):
            has = ", ".join(f'"{shown(id)}"' for id in self.used) or "none"
            progress.warn(f'no step has a cache mount "{name}" to export (there are: {has})')
        sending = _Sending(self, target, progress, self.services.limit(self.options.max_bytes))
        for candidate in await self._candidates():
            await sending.send(candidate)
        return await sending.finish()

    async def _candidates(self) -> list[MountCandidate]:
        """Last used first."""
        candidates: dict[MountKey, MountCandidate] = {}
        for source in self.build.sources:
            for mount in source.listing.mounts:
                if self._wanted(mount.id) and mount.id not in self.build.fresh:
                    key = (mount.id, mount.base)
                    offer = MountOffer(mount, source.fetcher, self.services.max_bytes)
                    if key not in candidates or candidates[key].used_at < mount.used_at:
                        candidates[key] = MountCandidate(key, mount.used_at, offer=offer)
        for here in reversed(self.services.store.all()):
            if self._wanted(here.id):
                key = (here.id, await self.services.digest_of_base(here.base_id))
                if self._goes_before(key, here, candidates.get(key)):
                    candidates[key] = MountCandidate(key, rfc3339(here.last_used_at), here=here)
        return sorted(candidates.values(), key=lambda c: (c.used_at, c.key), reverse=True)

    def _wanted(self, id: str) -> bool:
        return id in self.used and self.options.wants(id)

    def _goes_before(
        self, key: MountKey, here: CacheMountInfo, other: MountCandidate | None
    ) -> bool:
        """What is here goes unless a cache has it and it may lack some of that: then the cache's
        has not been merged, as no step of this build has used it."""
        if other is None or other.offer is None or key in self.build.ran:
            return True
        return other.offer.mount.index.digest in here.notes.get(MERGED, "").split()


class _Sending(Struct):
    """Mounts on their way to one target, as long as they fit into `left_bytes`."""

    export: MountsExport
    target: BlobTarget
    progress: Progress
    left_bytes: int
    sent: list[ListedMount] = field(default_factory=list)

    async def send(self, candidate: MountCandidate) -> None:
        name = shown(candidate.key[0])
        async with step(self.progress, f"exporting cache mount {name}"):
            if candidate.here is not None:
                mount = await self._send_ours(candidate, candidate.here)
            else:
                assert candidate.offer is not None
                mount = await self._send_on(candidate.offer)
        if mount is not None:
            self.left_bytes -= mount.size
            self.sent.append(mount)

    async def finish(self) -> list[Descriptor]:
        """The listing is written last; all blobs, as the manifest is to list them."""
        if not self.sent:
            return []
        data = listing.encode(self.sent)
        described = manifests.describe(data, LISTING)
        async with self.export.services.spool() as spool:
            path = spool / "listing"
            await in_thread(path.write_bytes, data)
            await self.target.write_blob(described, _at(path))
        descriptors = {d.digest: d for mount in self.sent for d in mount.descriptors()}
        return [described, *descriptors.values()]

    async def _send_ours(
        self, candidate: MountCandidate, here: CacheMountInfo
    ) -> ListedMount | None:
        async with AsyncExitStack() as stack:
            spool = await stack.enter_async_context(self.export.services.spool())
            try:
                bundle = await self._write(here, spool)
            except (CrozeError, OSError) as err:
                self.progress.warn(f"failed to read cache mount {shown(here.id)}: {as_own(err)}")
                return None
            if bundle is None:
                return None
            if isinstance(bundle, TooLarge):
                self._left_out(candidate.key[0], bundle.content_bytes)
                return None
            mount = ListedMount(
                id=candidate.key[0],
                base=candidate.key[1],
                index=_listed(bundle.index),
                packs=tuple(_listed(pack) for pack in bundle.packs),
                size=bundle.content_bytes,
                files=bundle.files,
                used_at=candidate.used_at,
            )
            blobs = [(INDEX, bundle.index), *((PACK, pack) for pack in bundle.packs)]
            # Those that are there, too: where blobs have a time to live they get a new one.
            await all_of(
                self.target.write_blob(Descriptor(kind, b.digest, b.size), _bytes_of(b))
                for kind, b in blobs
            )
        self._say(mount, sum(blob.size for _, blob in blobs if blob.path))
        return mount

    async def _write(self, here: CacheMountInfo, spool: Path) -> TreeBundle | TooLarge | None:
        """The mount's bundle; None for a mount that has gone meanwhile. Steps that want it wait
        only while it is read: the target is asked before, and gets its bytes afterwards."""
        services, sharing = self.export.services, self.export.used[here.id]
        before = str(services.store.side_file(here.ref_id, MEMORY))
        present = await self._present(await services.pool.run(known_packs, before))
        async with services.store.reading(here.id, here.base_id, sharing) as held:
            if held is None:
                return None
            memory = str(held.ref.side_file(MEMORY))
            bundle = await services.pool.run(
                write_bundle, str(held.path), memory, present, str(spool), self.left_bytes
            )
            if isinstance(bundle, TreeBundle):
                note_merged(held.ref, bundle.index.digest)
            return bundle

    async def _present(self, packs: Sequence[tuple[str, int]]) -> list[str]:
        """Which of the packs the target has."""
        there = await all_of(
            self.target.has_blob(Descriptor(PACK, digest, size)) for digest, size in packs
        )
        return [digest for (digest, _), has in zip(packs, there, strict=True) if has]

    async def _send_on(self, offer: MountOffer) -> ListedMount | None:
        """What an imported cache has, without looking into it; only what the target lacks."""
        if offer.mount.size > self.left_bytes:
            self._left_out(offer.mount.id, offer.mount.size)
            return None
        blobs = offer.mount.descriptors()
        try:
            moved = sum(await all_of(self._send_on_blob(offer, blob) for blob in blobs))
        except CrozeError as err:
            self.progress.warn(f"failed to export cache mount {shown(offer.mount.id)}: {err}")
            return None
        self._say(offer.mount, moved)
        return offer.mount

    async def _send_on_blob(self, offer: MountOffer, blob: Descriptor) -> int:
        """How many bytes had to be sent."""
        services, sessions = self.export.services, self.export.sessions
        moved = 0
        async with AsyncExitStack() as stack:

            async def bring() -> Path:
                nonlocal moved
                fetched = services.fetched(offer.fetcher, [blob], sessions)
                paths, moved = await stack.enter_async_context(fetched), blob.size
                return paths[blob.digest]

            await self.target.write_blob(blob, bring)
        return moved

    def _left_out(self, id: str, size: int) -> None:
        self.progress.warn(
            f"cache mount {shown(id)} is not exported: it has {size} bytes, and "
            f"{self.left_bytes} of the limit are left"
        )

    def _say(self, mount: ListedMount, moved: int) -> None:
        text = (
            f"exported cache mount {shown(mount.id)}: {mount.files} files, {mount.size} bytes, "
            f"{moved} of {mount.packed_bytes} packed bytes transferred\n"
        )
        self.progress.log(2, text.encode())


def _listed(blob: BundleBlob) -> ListedBlob:
    return ListedBlob(blob.digest, blob.size)


def _bytes_of(blob: BundleBlob) -> Callable[[], Awaitable[Path]]:
    if blob.path:
        return _at(Path(blob.path))

    async def bring() -> Path:
        raise NotFound(f"pack {blob.digest} was there, and is not any more")

    return bring


def _at(path: Path) -> Callable[[], Awaitable[Path]]:
    async def bring() -> Path:
        return path

    return bring
