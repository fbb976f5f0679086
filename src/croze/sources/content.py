"""Where an image's bytes come from: a registry, a client's content store, or our own blobs.

A *provider* answers for one reference. Its small contents (manifests, configs) are read at once;
layers come later, through the `BlobFetcher` that goes with it and that survives a restart as its
`origin`.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Protocol, TypeVar

from msgspec import Struct

from croze.aio.locks import KeyedLocks
from croze.aio.threads import in_thread
from croze.digests import digest_of
from croze.errors import Corrupted, InvalidRequest, NotFound
from croze.image import manifest as manifests
from croze.image import reference
from croze.image.descriptor import Descriptor
from croze.image.reference import Reference
from croze.registry import pull
from croze.registry.client import Registry, Repository
from croze.registry.credentials import Anonymous, Credentials
from croze.registry.session_auth import SessionCredentials
from croze.session.content import LentStore
from croze.session.contract import Session, SessionManager
from croze.status import Progress
from croze.store.contract import BlobFetcher, BlobStore

_REPORT_EVERY_S = 0.1
_ANY = "application/octet-stream"

T = TypeVar("T")


class ImageContents(Protocol):
    """The contents of one image reference."""

    @property
    def notes(self) -> Mapping[str, str]:
        """Annotations for the image's layers: where a registry has them, so that a push to it need
        not send them."""

    async def resolve(self, sessions: Sequence[str]) -> Descriptor:
        """What the reference names. Raises `NotFound`."""

    async def root(self, sessions: Sequence[str]) -> tuple[Descriptor, bytes]:
        """What the reference names, with its bytes; in one question where that is possible."""

    async def read(self, descriptor: Descriptor, sessions: Sequence[str]) -> bytes:
        """A manifest or config, verified."""

    async def bring(
        self, digest: str, progress: Progress | None, blobs: BlobStore, sessions: Sequence[str]
    ) -> None:
        """Bring any content, by digest, from there and nowhere else, whatever `blobs` has: who
        can't read it there does not get it here."""

    def fetcher(self, progress: Progress | None) -> BlobFetcher:
        """What gets the image's layers."""


class Access(Struct, frozen=True):
    """What providers and fetchers need from the daemon."""

    registry: Registry
    sessions: SessionManager
    locks: KeyedLocks[str]

    def credentials(self, sessions: Sequence[str]) -> Credentials:
        """The logins that these sessions lend; nobody's without sessions."""
        return SessionCredentials(self.sessions, sessions) if sessions else Anonymous()

    def repository(
        self, ref: Reference, sessions: Sequence[str], insecure: bool = False
    ) -> Repository:
        """The repository that `ref` names, asked with the logins of these sessions."""
        return self.registry.repository(ref, self.credentials(sessions), insecure=insecure)


class RegistryProvider(Struct, frozen=True):
    """A reference in a registry."""

    access: Access
    ref: Reference
    insecure: bool = False

    @property
    def notes(self) -> Mapping[str, str]:
        return {f"containerd.io/distribution.source.{self.ref.domain}": self.ref.path}

    async def resolve(self, sessions: Sequence[str]) -> Descriptor:
        return await pull.resolve(self.access.repository(self.ref, sessions, self.insecure))

    async def root(self, sessions: Sequence[str]) -> tuple[Descriptor, bytes]:
        return await pull.fetch_root(self.access.repository(self.ref, sessions, self.insecure))

    async def read(self, descriptor: Descriptor, sessions: Sequence[str]) -> bytes:
        return await pull.fetch_manifest(
            self.access.repository(self.ref, sessions, self.insecure), descriptor
        )

    async def bring(
        self, digest: str, progress: Progress | None, blobs: BlobStore, sessions: Sequence[str]
    ) -> None:
        size = await pull.blob_size(
            self.access.repository(self.ref, sessions, self.insecure), digest
        )
        await self.fetcher(progress).copy(Descriptor(_ANY, digest, size), blobs, sessions)

    def fetcher(self, progress: Progress | None) -> RegistryFetcher:
        return RegistryFetcher(self.access, self.ref, progress, self.insecure)


class _Fetcher(Struct, frozen=True):
    """What all fetchers do: one transfer for all who ask at once for a digest."""

    access: Access

    @property
    def spent(self) -> bool:
        return False

    async def fetch(
        self, descriptor: Descriptor, blobs: BlobStore, sessions: Sequence[str]
    ) -> None:
        async with self.access.locks.of(descriptor.digest):
            if not blobs.has(descriptor.digest):
                await self.copy(descriptor, blobs, sessions)

    async def copy(self, descriptor: Descriptor, blobs: BlobStore, sessions: Sequence[str]) -> None:
        """Like `fetch`, but every byte is had from there, whatever `blobs` has."""
        raise NotImplementedError


class RegistryFetcher(_Fetcher, frozen=True):
    """Layers from a registry."""

    ref: Reference
    progress: Progress | None = None
    insecure: bool = False

    @property
    def origin(self) -> Mapping[str, str]:
        origin = {"kind": "registry", "ref": str(self.ref)}
        return origin | {"insecure": "true"} if self.insecure else origin

    async def copy(self, descriptor: Descriptor, blobs: BlobStore, sessions: Sequence[str]) -> None:
        repo = self.access.repository(self.ref, sessions, self.insecure)
        report = TransferProgress(self.progress, descriptor)
        async with contextlib.AsyncExitStack() as files:
            async with repo.slot:  # before a file is open: there may be any number of layers
                writer = await files.enter_async_context(blobs.writer())
                await pull.fetch_blob(
                    repo, descriptor, writer.write, counter=report.count, log=report.log
                )
            await writer.commit(digest=descriptor.digest, size=descriptor.size)
        report.done()


class LentProvider(Struct, frozen=True):
    """A digest in a content store of a client: a layout (`oci`), or a cache (`local`)."""

    access: Access
    ref: Reference
    store: str
    session: str
    kind: str = "oci"

    @property
    def notes(self) -> Mapping[str, str]:
        return {}

    async def resolve(self, sessions: Sequence[str]) -> Descriptor:
        return (await self.root(sessions))[0]

    async def root(self, sessions: Sequence[str]) -> tuple[Descriptor, bytes]:
        digest = self.ref.digest
        if not digest:
            raise InvalidRequest(f'reference "{self.ref}" must have digest')

        try:
            data = await _in_store(self, sessions, lambda store: store.read_all(digest))
        except NotFound as err:
            raise err.wrap("unable to get info about digest") from err
        kind = manifests.detect_media_type(verified(data, digest))
        return manifests.describe(data, kind), data

    async def read(self, descriptor: Descriptor, sessions: Sequence[str]) -> bytes:
        digest = descriptor.digest
        data = await _in_store(self, sessions, lambda store: store.read_all(digest))
        return verified(data, digest)

    async def bring(
        self, digest: str, progress: Progress | None, blobs: BlobStore, sessions: Sequence[str]
    ) -> None:
        info = await _in_store(self, sessions, lambda store: store.info(digest))
        await self.fetcher(progress).copy(Descriptor(_ANY, digest, info.size), blobs, sessions)

    def fetcher(self, progress: Progress | None) -> LentFetcher:
        return LentFetcher(self.access, self.store, self.session, progress, self.kind)


class LentFetcher(_Fetcher, frozen=True):
    """Layers from a content store of a client. After a restart the client's session is another
    one: those of the asking build are tried."""

    store: str
    session: str
    progress: Progress | None = None
    kind: str = "oci"

    @property
    def origin(self) -> Mapping[str, str]:
        kind = "oci-layout" if self.kind == "oci" else f"{self.kind}-content"
        return {"kind": kind, "store": self.store, "session": self.session}

    async def copy(self, descriptor: Descriptor, blobs: BlobStore, sessions: Sequence[str]) -> None:

        async def read(store: LentStore) -> None:
            report = TransferProgress(self.progress, descriptor)
            async with blobs.writer() as writer:
                fetched_bytes = 0
                async for data in store.read(descriptor.digest):
                    fetched_bytes += len(data)
                    if fetched_bytes > descriptor.size:
                        raise pull.too_long(descriptor)
                    await in_thread(writer.write, data)
                    report.count(fetched_bytes)
                await writer.commit(digest=descriptor.digest, size=descriptor.size)
            report.done()

        await _in_store(self, sessions, read)


def fetcher_of(access: Access, origin: Mapping[str, str]) -> BlobFetcher:
    """Make a fetcher anew from its `origin`. Raises `InvalidRequest` for one that is unknown."""
    match origin.get("kind"):
        case "registry":
            insecure = origin.get("insecure") == "true"
            return RegistryFetcher(access, reference.parse(origin["ref"]), insecure=insecure)
        case "oci-layout":
            return LentFetcher(access, origin["store"], origin["session"])
        case "local-content":
            return LentFetcher(access, origin["store"], origin["session"], kind="local")
    raise InvalidRequest(f"unknown origin of a blob: {dict(origin)}")


async def _in_store(
    lent: LentProvider | LentFetcher,
    others: Sequence[str],
    use: Callable[[LentStore], Awaitable[T]],
) -> T:
    """Ask the session that was named, or the asking build's own if it is gone. One of these may be
    about to open; any other has gone if it is not there."""
    sessions, named = lent.access.sessions, lent.session

    async def look(session: Session) -> T:
        return await use(LentStore(session, f"{lent.kind}:{lent.store}"))

    if named and (named in others or not others):
        return await look(await sessions.get(named))
    if named and (open_session := sessions.current(named)) is not None:
        return await look(open_session)
    return await sessions.first(others, look)


def verified(data: bytes, digest: str) -> bytes:
    """The data, or `Corrupted`."""
    computed = digest_of(data)
    if computed != digest:
        raise Corrupted(f"unexpected digest {computed} of content {digest}")
    return data


class TransferProgress:
    """A layer's line of progress: `sha256:… current / total`."""

    def __init__(self, progress: Progress | None, descriptor: Descriptor) -> None:
        self._progress = progress
        self._descriptor = descriptor
        self._started = datetime.now(UTC)
        self._last = 0.0

    def count(self, fetched_bytes: int) -> None:
        now = time.monotonic()
        if now - self._last >= _REPORT_EVERY_S:
            self._last = now
            self._report(fetched_bytes, None)

    def log(self, text: str) -> None:
        if self._progress is not None:
            self._progress.log(2, text.encode())

    def done(self) -> None:
        self._report(self._descriptor.size, datetime.now(UTC))

    def _report(self, current: int, completed: datetime | None) -> None:
        if self._progress is not None:
            self._progress.status(
                self._descriptor.digest,
                current=current,
                total=self._descriptor.size,
                name=self._descriptor.digest,
                started=self._started,
                completed=completed,
            )
