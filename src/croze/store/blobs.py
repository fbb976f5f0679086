"""Blobs as files: `blobs/sha256/<hex>`, written in `ingest/` and published by rename."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import itertools
import os
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Self

from msgspec import Struct

from croze.aio.threads import finish, in_thread
from croze.digests import digest_of
from croze.errors import Corrupted, InvalidRequest, NotFound, ResourceExhausted
from croze.patterns import lazy_pattern
from croze.store.disk import disk_errors, own_disk_errors, sync_dir
from croze.store.trash import Trash

if TYPE_CHECKING:
    from croze.store.watch_contract import BlobWatch

_DIGEST = lazy_pattern(r"sha256:[0-9a-f]{64}")
_CHUNK_BYTES = 1 << 20


def hash_file(path: str | os.PathLike[str]) -> str:
    """The sha256 digest of a file's bytes. Drops the GIL while it works."""
    with open(path, "rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def _sync_file(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


class DiskBlobWriter:
    """See `BlobWriter`. Hashes what comes through `write` on the way."""

    def __init__(self, store: DiskBlobStore, path: Path, watch: BlobWatch | None = None) -> None:
        """Makes the file."""
        from croze.fs.filecopy import EarlyWriteback  # no daemon writes any before it answers

        self.path = path
        self._watch = watch
        self._store = store
        self._file = open(_create(path), "r+b", buffering=0)  # noqa: SIM115 - the store closes it
        self._writeback = EarlyWriteback(self._file.fileno())
        self._hash = hashlib.sha256()

    def write(self, data: bytes) -> None:
        """Append. Raises `CrozeError`; `ResourceExhausted` when the disk is full."""
        with own_disk_errors("failed to write blob"):
            view = memoryview(data)
            while view:
                view = view[self._file.write(view) :]
            self._writeback.wrote(len(data))
        if self._watch is not None:
            self._watch.on_written(self._writeback.size)
        self._hash.update(data)

    async def commit(self, *, digest: str | None = None, size: int | None = None) -> str:
        """See `BlobWriter.commit`."""
        if self._watch is not None:
            self._watch.on_complete()
        actual, written = self.path.stat().st_size, self._writeback.size
        if written and written == actual:
            computed = "sha256:" + self._hash.hexdigest()
        elif actual and written == 0 and digest is not None and size is not None:
            # Written and hashed by a worker process. Nothing at all may be what was sent, whatever
            # its digest was said to be.
            computed = digest
        else:
            computed = await in_thread(hash_file, self.path)
        if size is not None and size != actual:
            raise Corrupted(
                f"unexpected size {actual} of blob {digest or computed}, expected {size}"
            )
        if digest is not None and digest != computed:
            raise Corrupted(f"unexpected digest {computed} of blob, expected {digest}")
        await self._store.publish(self.path, computed, actual)
        return computed

    def close(self) -> None:
        """Close the file. Idempotent."""
        self._file.close()


class DiskBlobStore:
    """See `BlobStore`. What is there is remembered; look-ups touch no disk."""

    def __init__(self, root: Path, trash: Trash) -> None:
        self._dir = root / "blobs" / "sha256"
        self._ingest = root / "ingest"
        self._trash = trash
        self._dir.mkdir(parents=True, exist_ok=True)
        self._ingest.mkdir(exist_ok=True)
        for name in os.listdir(self._ingest):
            os.unlink(self._ingest / name)
        with os.scandir(self._dir) as entries:
            self._sizes: dict[str, int | None] = {
                f"sha256:{e.name}": None for e in entries if len(e.name) == 64
            }
        self._used_at: dict[str, float] = {}
        self._numbers = itertools.count()
        self._watch: BlobWatch | None = None

    def watched(self, watch: BlobWatch) -> Self:
        """A view of this store, whose writers report to `watch`."""
        same = copy.copy(self)
        same._watch = watch
        return same

    def _file(self, digest: str) -> Path:
        if not _DIGEST.fullmatch(digest):
            raise InvalidRequest(f"invalid digest {digest!r}")
        return self._dir / digest[7:]

    def has(self, digest: str) -> bool:
        """Whether the blob is here."""
        return digest in self._sizes

    def size(self, digest: str) -> int:
        """The blob's size in bytes. Raises `NotFound`."""
        path = self._existing(digest)
        size = self._sizes[digest]
        if size is None:
            size = self._sizes[digest] = path.stat().st_size
        return size

    def _existing(self, digest: str) -> Path:
        path = self._file(digest)
        if digest not in self._sizes:
            raise NotFound(f"blob {digest} not found")
        return path

    def path(self, digest: str) -> Path:
        """See `BlobStore.path`."""
        path = self._existing(digest)
        self._used_at[digest] = time.monotonic()
        return path

    def open(self, digest: str) -> BinaryIO:
        """Open to read. Raises `NotFound`."""
        return open(self.path(digest), "rb")

    def read(self, digest: str, limit_bytes: int = 16 << 20) -> bytes:
        """See `BlobStore.read`."""
        size = self.size(digest)
        if size > limit_bytes:
            raise ResourceExhausted(
                f"blob {digest} has {size} bytes, more than the limit of {limit_bytes}"
            )
        return self.path(digest).read_bytes()

    async def put(self, data: bytes) -> str:
        """See `BlobStore.put`."""
        (digest,) = await self.put_all((data,))
        return digest

    async def put_all(self, several: Sequence[bytes]) -> Sequence[str]:
        """Like `put`, for several at once: less is waited for. Those that had their names before
        the disk was full are here."""
        digests = [digest_of(data) for data in several]
        fresh = dict(zip(digests, several, strict=True))
        for digest in set(digests) & self._sizes.keys():
            self._used_at[digest] = time.monotonic()
            del fresh[digest]
        if fresh:
            await finish(self._put_all(fresh))
        return digests

    async def _put_all(self, fresh: Mapping[str, bytes]) -> None:
        files = [_SmallFile(d, self._fresh(), self._file(d), data) for d, data in fresh.items()]
        named: list[str] = []
        try:
            what = f"blob {next(iter(fresh))}" if len(fresh) == 1 else f"{len(fresh)} blobs"
            with disk_errors(f"failed to write {what}"):
                await in_thread(_put, files, named, self._dir)
        finally:
            for digest in named:
                self._is_here(digest, len(fresh[digest]))

    def writer(self) -> AbstractAsyncContextManager[DiskBlobWriter]:
        """See `BlobStore.writer`."""
        return self._writer()

    @contextlib.asynccontextmanager
    async def _writer(self) -> AsyncIterator[DiskBlobWriter]:
        path = self._fresh()
        with disk_errors("failed to write blob"):
            writer = DiskBlobWriter(self, path, self._watch)
        try:
            if self._watch is not None:
                self._watch.on_begun(path)
            yield writer
        finally:
            writer.close()
            with contextlib.suppress(OSError):  # it is not there, or goes at the next start
                os.unlink(path)

    def _fresh(self) -> Path:
        """A name for what is being written. Nothing is there: it was emptied when we began."""
        return self._ingest / str(next(self._numbers))

    async def publish(self, path: Path, digest: str, size: int) -> None:
        """Give finished bytes their name, durably; drop them if the name is taken."""
        target = self._file(digest)
        if digest not in self._sizes:
            await finish(self._publish(path, target, digest, size))
        else:
            self._used_at[digest] = time.monotonic()

    async def _publish(self, path: Path, target: Path, digest: str, size: int) -> None:
        with disk_errors(f"failed to write blob {digest}"):
            await in_thread(_publish, path, target)
        self._is_here(digest, size)

    def _is_here(self, digest: str, size: int) -> None:
        """What has its name is known to be here, though nobody waits for it any more. Known once,
        at once: the collector may come before whoever waits goes on."""
        self._sizes[digest] = size
        self._used_at[digest] = time.monotonic()

    def delete(self, digest: str) -> None:
        """Delete a blob. Idempotent."""
        path = self._file(digest)
        if self._sizes.pop(digest, -1) != -1:
            self._used_at.pop(digest, None)
            self._trash.discard(path)

    def peek(self, digest: str) -> bytes:
        """Read without counting it as a use. Raises `NotFound`."""
        return self._existing(digest).read_bytes()

    def digests(self) -> Sequence[str]:
        """The digests of all blobs."""
        return tuple(self._sizes)

    def idle_s(self, digest: str) -> float:
        """Seconds since anyone asked for or wrote the blob; infinite if not since the start."""
        used = self._used_at.get(digest)
        return float("inf") if used is None else time.monotonic() - used


def _create(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)


class _SmallFile(Struct, frozen=True):
    """A small blob, to be written at once."""

    digest: str
    path: Path
    target: Path
    data: bytes


def _put(files: Sequence[_SmallFile], named: list[str], directory: Path) -> None:
    """Write them, and tell in `named` which have their names."""
    for each in files:
        try:
            with open(_create(each.path), "wb", buffering=0) as file:
                view = memoryview(each.data)
                while view:
                    view = view[file.write(view) :]
                os.fsync(file.fileno())
            os.rename(each.path, each.target)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(each.path)
            raise
        named.append(each.digest)
    sync_dir(directory)


def _publish(path: Path, target: Path) -> None:
    os.chmod(path, 0o600)
    _sync_file(path)
    os.rename(path, target)
    sync_dir(target.parent)
