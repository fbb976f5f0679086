"""What the store promises, for all its backends.

Vocabulary: a *blob* is immutable bytes named by digest; a *snapshot* one filesystem layer on disk
over its parents; a *ref* a counted handle on a filesystem state. A ref is *lazy* while only its
blob's descriptor is known: nothing has been fetched or unpacked.

Lifecycle. Every handle that a method returns is owned by the caller, who must `release()` it once;
`clone()` gives a second handle to pass on. A record outlives its handles: it stays on disk, to be
found by id or by blob, until `prune` chooses it, and `prune` never chooses what a handle, a lease
or a child record holds.

Atomicity. A commit is one SQLite transaction after the bytes are durable. After `kill -9` at any
instant the store opens, everything committed is intact, everything else is swept.

Errors: `errors.NotFound` for unknown ids and digests, `errors.Corrupted` when bytes don't match
their digest, `errors.ResourceExhausted` when the disk is full.

    step = await refs.new(base)
    async with step.mounted(readonly=False) as root:
        write_into(root)
    made = await step.commit()
    layers = await made.layers(Compression("zstd"))
    await made.release()
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, Literal, Protocol, Self

from msgspec import Struct

from croze.image.descriptor import Descriptor

if TYPE_CHECKING:
    from croze.store.watch_contract import LayerWatch

RecordType = Literal[
    "regular", "internal", "frontend", "source.local", "source.git.checkout", "exec.cachemount"
]
CACHE_MOUNT: Final[RecordType] = "exec.cachemount"
SnapshotterName = Literal["auto", "overlayfs", "native"]
"""`auto` is overlayfs where it works, else native."""
WriteRest = Callable[[Path], Awaitable[None]]
"""Writes what is left of a ref's files, below that directory."""
CompressionType = Literal["uncompressed", "gzip", "zstd", "estargz"]


class MountSpec(Struct, frozen=True):
    """One `mount(2)`: `type` (`bind`, `overlay`, `tmpfs`), `source`, comma-free `options`."""

    type: str
    source: str
    options: tuple[str, ...] = ()


class Compression(Struct, frozen=True):
    """How layers are written. `force` recompresses layers that exist in another type."""

    type: CompressionType = "gzip"
    level: int | None = None
    force: bool = False
    oci_types: bool = True


class LayerBlob(Struct, frozen=True):
    """A layer as bytes: its descriptor (with annotations) and the digest of its tar."""

    descriptor: Descriptor
    diff_id: str


class BlobFetcher(Protocol):
    """Gets the bytes of lazy blobs. Kept with the lazy ref; must stay valid after a restart through
    `origin`, from which the daemon can make it anew."""

    @property
    def origin(self) -> Mapping[str, str]:
        """Plain values that say where from, e.g. `{"kind": "registry", "ref": "..."}`."""

    @property
    def spent(self) -> bool:
        """Whether it is known that it can fetch nothing any more, such as with keys that have
        expired. Then its lazy refs don't exist."""

    async def fetch(
        self, descriptor: Descriptor, blobs: BlobStore, sessions: Sequence[str]
    ) -> None:
        """Bring the blob into `blobs`, verified. No-op if it is there. `sessions` may lend
        credentials. Concurrent calls for one digest share one transfer."""


class BlobWriter(Protocol):
    """Bytes on their way into the store. Leaving the `async with` without `commit` drops them."""

    path: Path
    """The temporary file; a worker process may write it directly instead of `write`."""

    def write(self, data: bytes) -> None:
        """Append bytes. Whoever has more than a few calls it in a thread: it may wait for the
        disk. Raises `ResourceExhausted` when that is full."""

    async def commit(self, *, digest: str | None = None, size: int | None = None) -> str:
        """Verify, make durable, publish under the digest (returned). Idempotent if it exists.

        When the bytes went through `path` and `digest` was computed by a trusted worker on the
        way, pass it with `size`; otherwise the file is hashed. Raises `Corrupted` on mismatch.
        """


class BlobStore(Protocol):
    """Content-addressed immutable bytes."""

    def has(self, digest: str) -> bool:
        """Whether the blob is here. Quick: touches no disk."""

    def size(self, digest: str) -> int:
        """The blob's length in bytes. Raises `NotFound`."""

    def path(self, digest: str) -> Path:
        """Where the bytes are; open read-only, never change. Raises `NotFound`."""

    def open(self, digest: str) -> BinaryIO:
        """Open the blob to read. Raises `NotFound`."""

    def read(self, digest: str, limit_bytes: int = 16 << 20) -> bytes:
        """Small blobs (manifests, configs). Raises `ResourceExhausted` over the limit."""

    async def put(self, data: bytes) -> str:
        """Write small bytes, return the digest. Idempotent."""

    def writer(self) -> AbstractAsyncContextManager[BlobWriter]:
        """A writer for a new blob, whose digest need not be known yet."""

    def delete(self, digest: str) -> None:
        """Delete a blob. Idempotent."""

    def digests(self) -> Sequence[str]:
        """The digests of all blobs."""


class CommonRef(Protocol):
    """What mutable and immutable refs share."""

    @property
    def id(self) -> str:
        """The id of the record that this is a handle on."""

    @property
    def description(self) -> str:
        """What the record is, for people: `du` shows it."""

    def set_meta(self, **values: str) -> None:
        """Remember small facts with the record, durably (e.g. a local source's shared key)."""

    def get_meta(self, key: str) -> str | None:
        """What `set_meta` remembered under `key`; None if nothing."""

    async def mounts(self, *, readonly: bool, sessions: Sequence[str] = ()) -> Sequence[MountSpec]:
        """What to mount to see this state; fetches and unpacks a lazy ref first."""

    def mounted(
        self, *, readonly: bool, sessions: Sequence[str] = ()
    ) -> AbstractAsyncContextManager[Path]:
        """The state at a path on the host, while inside. Shares one mount among users; uses the
        snapshot's own directory where that is enough (a single read-only layer)."""

    def side_file(self, name: str) -> Path:
        """Where to keep data derived from the content (e.g. its checksum index), deleted with the
        record. The file may not exist yet; write it atomically."""

    async def usage(self) -> int:
        """Bytes on disk of this record alone, without its parents."""

    async def release(self) -> None:
        """Give the handle back, once. The record stays until `prune` chooses it."""


class ImmutableRef(CommonRef, Protocol):
    """A finished filesystem state."""

    def clone(self) -> Self:
        """A second handle on the same record, to be released on its own."""

    @property
    def lazy(self) -> bool:
        """Whether its layer has not been fetched and unpacked yet."""

    @property
    def parent_ids(self) -> Sequence[str]:
        """Ids of the records that it lies on, or is made of."""

    @property
    def unwritten(self) -> bool:
        """Whether its files are still being written. What side files tell of them is there."""

    def write_soon(self) -> None:
        """Have what is `unwritten` written now, as it is likely to be wanted."""

    async def unlazy(self, sessions: Sequence[str] = ()) -> None:
        """Fetch and unpack now; what is `unwritten` is not waited for."""

    async def materialize(self, sessions: Sequence[str] = ()) -> None:
        """Have all files there: `mounted` has nothing to wait for then."""

    async def layers(
        self,
        compression: Compression,
        *,
        sessions: Sequence[str] = (),
        fetch: bool = False,
        watch: LayerWatch | None = None,
    ) -> Sequence[LayerBlob]:
        """The chain of layer blobs, base first, made where missing (diff, tar, compress in one
        pass, in a worker process; `watch` is told of each). Lazy blobs stay lazy unless `fetch` or
        `compression.force` needs their bytes. A step without changes still makes a layer.
        Idempotent, and concurrent calls share the work."""

    def known_layers(self) -> Sequence[LayerBlob] | None:
        """The chain if every blob of it is known already; makes nothing."""

    async def fetch_blob(self, digest: str, sessions: Sequence[str] = ()) -> None:
        """Make sure one of this chain's blobs is in the blob store."""


class MutableRef(CommonRef, Protocol):
    """A filesystem state being written, or a cache mount."""

    async def commit(self, *, retain: bool = False, rest: WriteRest | None = None) -> ImmutableRef:
        """Freeze. The mutable handle is spent; the new one is the caller's.

        With `retain` the record stays mutable underneath: the new handle sees it read-only, and
        once the last such handle is released `get_mutable(id)` gives it out for writing again (a
        local source's directory, re-synchronised by the next build). While any is held
        `get_mutable` raises `AlreadyExists`. The `rest` of a new one's files may be written
        afterwards: who mounts it waits for that; until then, and if it fails, nobody finds it.
        """

    async def discard(self) -> None:
        """Release it, and keep nothing of it."""


class UsageRecord(Struct, frozen=True):
    """A row of `du`. Sizes in bytes; times aware, UTC."""

    id: str
    mutable: bool
    in_use: bool
    size: int
    parents: tuple[str, ...]
    created_at: datetime
    last_used_at: datetime
    usage_count: int
    description: str
    record_type: RecordType


class PrunePolicy(Struct, frozen=True):
    """What may be pruned, as in buildkitd.toml. Sizes in bytes, 0 for no limit; filters are
    alternatives, each a comma list of terms that must all hold, in containerd's filter grammar."""

    filters: tuple[str, ...] = ()
    all: bool = False
    keep_duration_s: float = 0
    reserved_space: int = 0
    max_used_space: int = 0
    min_free_space: int = 0


class Sharing(Enum):
    """Who may have a cache mount at once."""

    SHARED = 0
    PRIVATE = 1
    LOCKED = 2


class LazyLayer(Struct, frozen=True):
    """A layer to be known without being fetched."""

    blob: LayerBlob
    fetcher: BlobFetcher
    created_ns: int = 0
    """Since 1970; 0 for now."""
    description: str = ""


class RefStore(Protocol):
    """Makes and finds refs. The one door to filesystem state."""

    blobs: BlobStore

    async def new(
        self,
        parent: ImmutableRef | None,
        *,
        description: str = "",
        record_type: RecordType = "regular",
        sessions: Sequence[str] = (),
    ) -> MutableRef:
        """A writable state over `parent` (empty for None). The caller keeps its own handle."""

    async def get(self, id: str, *, uses: bool = True) -> ImmutableRef:
        """A handle on the record of that id. Without `uses` it is only looked at: what was used
        least, and least lately, goes first. Raises `NotFound` if the record, or a record under it,
        is gone."""

    async def get_mutable(self, id: str) -> MutableRef:
        """An idle mutable record (a local source's directory). Raises `NotFound`, or
        `AlreadyExists` while another handle has it."""

    def get_retained(self, id: str, *, uses: bool = True) -> ImmutableRef | None:
        """What a mutable record was when it was last committed with `retain`, as long as nobody has
        been given it for writing since. None if that is not so. `uses` as in `get`."""

    def find(self, **meta: str) -> Sequence[str]:
        """Ids of records with these `set_meta` values, most recently used first."""

    def exists(self, id: str) -> bool:
        """Whether there is a record of that id."""

    async def from_layers(
        self, layers: Sequence[LazyLayer], *, record_type: RecordType = "regular"
    ) -> ImmutableRef | None:
        """A (lazy) ref on a chain of layers, sharing records by chain ID. None for no layers."""

    def refresh_layers(self, layers: Sequence[LazyLayer]) -> bool:
        """If refs on these layers are there and still lazy, they are fetched from here from now on:
        the client that lent them before may be gone.

        Whether their diff IDs name them: false if other layers claim the same ones, and it is not
        known yet that each of them says the truth."""

    async def merge(self, refs: Sequence[ImmutableRef], *, description: str = "") -> ImmutableRef:
        """The refs on top of each other, later ones win; cheap where their layers are."""

    async def diff(
        self,
        lower: ImmutableRef | None,
        upper: ImmutableRef | None,
        *,
        description: str = "",
    ) -> ImmutableRef:
        """What `upper` changed against `lower`, as a layer on nothing."""

    def cache_mount(
        self, id: str, base: ImmutableRef | None, sharing: Sharing, *, description: str = ""
    ) -> AbstractAsyncContextManager[MutableRef]:
        """A persistent directory by id (and base). SHARED: the same for all at once; PRIVATE: a
        fresh one when taken; LOCKED: waits. Kept on exit."""

    async def forget_cache_mounts(self, ids: Collection[str]) -> None:
        """Who asks for one of these ids next gets an empty directory, whatever the base. What is
        in use stays with its users and goes when they are done."""

    def lease(self) -> AbstractAsyncContextManager[Lease]:
        """Holds blobs against prune while an export is under way."""

    async def disk_usage(
        self, filters: Sequence[str] = (), *, unused_s: float = 0
    ) -> Sequence[UsageRecord]:
        """The records that match, and were not used for as long. Raises `InvalidRequest`."""

    def prune(self, policies: Sequence[PrunePolicy]) -> AsyncIterator[UsageRecord]:
        """Delete what the policies allow, least valuable first, yielding what goes."""

    async def close(self) -> None:
        """Unmount, flush and close."""


class Lease(Protocol):
    """Names the blobs that must stay."""

    def hold(self, digest: str) -> None:
        """Hold a blob, which need not be here yet."""
