"""Lend OCI layout directories (containerd's Content service): read for sources and cache imports,
written to by `tar=false` exports and cache exports.

The store's id comes in the call's metadata. Blobs lie in `blobs/<algorithm>/<hex>`.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import AsyncIterator, Container, Mapping
from contextlib import suppress
from pathlib import Path

from google.protobuf import empty_pb2
from msgspec import Struct

from croze import errors
from croze.aio.threads import in_thread
from croze.api import content_pb2
from croze.files.settings import open_file
from croze.patterns import lazy_pattern
from croze.rpc.servers import Context
from croze.session.content import CHUNK_BYTES, STORE_HEADER
from croze.session.layouts import layout_folder, new_file, open_folder
from croze.session.lent_service import Handler, metadata_of, stream, unary, unary_stream

_DIGEST = lazy_pattern(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")


class ContentProvider:
    """Answers for each store by id, such as `oci:name`, `export` or `local:/dir`."""

    service = "containerd.services.content.v1.Content"

    def __init__(self, stores: Mapping[str, Path], to_write: Container[str] | None = None) -> None:
        """`to_write`: the stores that may be changed; None for all. The rest are only read, whoever
        the daemon is."""
        self._stores = dict(stores)
        self._to_write = self._stores if to_write is None else to_write
        self._ingests: dict[tuple[Path, str], _Ingest] = {}

    def methods(self) -> Mapping[str, Handler]:
        return {
            "Info": unary(self._info, content_pb2.InfoRequest),
            "Update": unary(self._update, content_pb2.UpdateRequest),
            "List": unary_stream(self._list, content_pb2.ListContentRequest),
            "Delete": unary(self._delete, content_pb2.DeleteContentRequest),
            "Read": unary_stream(self._read, content_pb2.ReadContentRequest),
            "Status": unary(self._status, content_pb2.StatusRequest),
            "ListStatuses": unary(self._list_statuses, content_pb2.ListStatusesRequest),
            "Write": stream(self._write, content_pb2.WriteContentRequest),
            "Abort": unary(self._abort, content_pb2.AbortRequest),
        }

    def _store(self, context: Context) -> Path:
        ids = metadata_of(context).get(STORE_HEADER)
        if not ids:
            raise errors.InvalidRequest(
                f'request lacks metadata "{STORE_HEADER}": invalid argument'
            )
        store = self._stores.get(ids[0])
        if store is None:
            raise errors.NotFound(f"unknown store {ids[0]}: not found")
        return store

    def _store_to_write(self, context: Context) -> Path:
        store = self._store(context)
        id = metadata_of(context)[STORE_HEADER][0]
        if id not in self._to_write:
            raise errors.PermissionDenied(f"store {id} is lent to be read only")
        return store

    # -- blobs --

    async def _info(
        self, request: content_pb2.InfoRequest, context: Context
    ) -> content_pb2.InfoResponse:
        path = _blob(self._store(context), request.digest)
        return content_pb2.InfoResponse(info=_info_of(request.digest, path))

    async def _update(
        self, request: content_pb2.UpdateRequest, context: Context
    ) -> content_pb2.UpdateResponse:
        """Labels are not kept: a layout has no place for them."""
        info = _info_of(request.info.digest, _blob(self._store(context), request.info.digest))
        return content_pb2.UpdateResponse(info=info)

    async def _list(self, request: content_pb2.ListContentRequest, context: Context) -> None:
        listed = [
            _info_of(f"{path.parent.name}:{path.name}", path)
            for path in sorted(self._store(context).glob("blobs/*/*"))
            if _DIGEST.fullmatch(f"{path.parent.name}:{path.name}") and path.is_file()
        ]
        if listed:
            await context.write(content_pb2.ListContentResponse(info=listed))

    async def _delete(
        self, request: content_pb2.DeleteContentRequest, context: Context
    ) -> empty_pb2.Empty:
        store = self._store_to_write(context)
        path = _blob(store, request.digest)
        _info_of(request.digest, path)
        with layout_folder(store, "blobs", path.parent.name) as folder:
            os.unlink(path.name, dir_fd=folder)
        return empty_pb2.Empty()

    async def _read(self, request: content_pb2.ReadContentRequest, context: Context) -> None:
        path = _blob(self._store(context), request.digest)
        total = _info_of(request.digest, path).size
        offset = max(request.offset, 0)
        if offset > total:
            raise errors.InvalidRequest(f"read past object length {total} bytes")
        remaining_bytes = min(request.size, total - offset) if request.size > 0 else total - offset
        sent = 0
        with open_file(path) as file:
            file.seek(offset)
            while remaining_bytes > 0:
                data = await in_thread(file.read, min(remaining_bytes, CHUNK_BYTES))
                if not data:
                    break
                await context.write(content_pb2.ReadContentResponse(offset=sent, data=data))
                sent += len(data)
                remaining_bytes -= len(data)

    # -- writes --

    async def _status(
        self, request: content_pb2.StatusRequest, context: Context
    ) -> content_pb2.StatusResponse:
        ingest = self._ingests.get((self._store(context), request.ref))
        if ingest is None:
            message = f'could not get status for ref "{request.ref}": not found'
            raise errors.NotFound(message)
        return content_pb2.StatusResponse(status=ingest.status())

    async def _list_statuses(
        self, request: content_pb2.ListStatusesRequest, context: Context
    ) -> content_pb2.ListStatusesResponse:
        store = self._store(context)
        statuses = [i.status() for (at, _), i in self._ingests.items() if at == store]
        return content_pb2.ListStatusesResponse(statuses=statuses)

    async def _abort(self, request: content_pb2.AbortRequest, context: Context) -> empty_pb2.Empty:
        ingest = self._ingests.pop((self._store(context), request.ref), None)
        if ingest is not None:
            ingest.discard()
        return empty_pb2.Empty()

    async def _write(
        self, messages: AsyncIterator[content_pb2.WriteContentRequest], context: Context
    ) -> None:
        store = self._store_to_write(context)
        ingest: _Ingest | None = None
        try:
            async for request in messages:
                if ingest is None:
                    ingest = self._begin(store, request)
                answer = await in_thread(_step, ingest, request)
                await context.write(answer)
                if request.action == content_pb2.COMMIT:
                    return
        finally:
            if ingest is not None:
                self._ingests.pop((store, ingest.ref), None)
                ingest.discard()

    def _begin(self, store: Path, request: content_pb2.WriteContentRequest) -> _Ingest:
        if not request.ref:
            raise errors.InvalidRequest("first message must have a reference")
        if (store, request.ref) in self._ingests:
            raise errors.Unavailable(f"ref {request.ref} locked: unavailable")
        _check_new(store, request.expected)  # nothing is begun for what is there
        ingest = _Ingest.start(store, request.ref, request.expected)
        self._ingests[store, request.ref] = ingest
        return ingest


class _Ingest(Struct):
    """A blob being written, in a temporary file beside those that are there: they may be on another
    disk than the rest of the layout. What other clients have in `ingest` is theirs."""

    path: str
    store: Path
    ref: str
    fd: int
    folder: int
    """The directory that it is in, open."""
    name: str
    """What it is called there."""
    offset: int = 0
    total: int = 0
    expected: str = ""

    @classmethod
    def start(cls, store: Path, ref: str, expected: str) -> _Ingest:
        algorithm = _algorithm(expected)
        folder = open_folder(store, "blobs", algorithm, make=True)
        name = f".ingest-{os.urandom(8).hex()}"
        try:
            path = f"{store}/blobs/{algorithm}/{name}"
            return cls(path, store, ref, new_file(folder, name), folder, name)
        except BaseException:
            os.close(folder)
            raise

    def status(self) -> content_pb2.Status:
        return content_pb2.Status(
            ref=self.ref, offset=self.offset, total=self.total, expected=self.expected
        )

    def truncate(self) -> None:
        os.ftruncate(self.fd, 0)
        os.lseek(self.fd, 0, os.SEEK_SET)
        self.offset = 0

    def append(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self.fd, view) :]
        except OSError as error:
            raise OSError(error.errno, error.strerror, f"write {self.path}") from None
        self.offset += len(data)

    def digest(self) -> str:
        os.lseek(self.fd, 0, os.SEEK_SET)
        with open(self.fd, "rb", closefd=False) as file:
            algorithm = _algorithm(self.expected)
            return f"{algorithm}:{hashlib.file_digest(file, algorithm).hexdigest()}"

    def commit(self) -> str:
        """The file becomes a blob; returns its digest."""
        actual = self.digest()
        if self.total and self.offset != self.total:
            raise errors.InvalidRequest(
                f'"{self.ref}" failed size validation: {self.offset} != {self.total}: '
                "failed precondition"
            )
        if self.expected and actual != self.expected:
            raise errors.Corrupted(f"unexpected commit digest {actual}, expected {self.expected}")
        algorithm, _, encoded = actual.partition(":")
        os.fsync(self.fd)
        with layout_folder(self.store, "blobs", algorithm, make=True) as blobs:
            os.rename(self.name, encoded, src_dir_fd=self.folder, dst_dir_fd=blobs)
        return actual

    def discard(self) -> None:
        os.close(self.fd)
        with suppress(FileNotFoundError):  # it has become a blob
            os.unlink(self.name, dir_fd=self.folder)
        os.close(self.folder)


def _step(
    ingest: _Ingest, request: content_pb2.WriteContentRequest
) -> content_pb2.WriteContentResponse:
    """One request of a write and its answer."""
    if request.expected:
        ingest.expected = request.expected
        _check_new(ingest.store, request.expected)
    ingest.total = request.total or ingest.total
    answer = content_pb2.WriteContentResponse(action=request.action, total=ingest.total)
    if request.action != content_pb2.STAT:
        _take(ingest, request)
    if request.action == content_pb2.COMMIT:
        answer.digest = ingest.commit()
    answer.offset = ingest.offset
    return answer


def _check_new(store: Path, expected: str) -> None:
    """See that a blob is not there yet. Raises `AlreadyExists`."""
    if expected and _blob(store, expected).exists():
        raise errors.AlreadyExists(f"blob with expected digest {expected} exists")


def _take(ingest: _Ingest, request: content_pb2.WriteContentRequest) -> None:
    if request.offset > 0 and request.offset != ingest.offset:
        raise errors.InvalidRequest(
            f"write @{request.offset} must occur at current offset {ingest.offset}"
        )
    if request.offset == 0 and ingest.offset > 0:
        ingest.truncate()
    ingest.append(request.data)


def _algorithm(expected: str) -> str:
    """That of a blob of which a digest is expected, or none."""
    return expected.partition(":")[0] or "sha256"


def _blob(store: Path, digest: str) -> Path:
    if not _DIGEST.fullmatch(digest):
        raise errors.InvalidRequest(f"{digest}: invalid checksum digest format")
    algorithm, _, encoded = digest.partition(":")
    return store / "blobs" / algorithm / encoded


def _info_of(digest: str, path: Path) -> content_pb2.Info:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise FileNotFoundError
    except FileNotFoundError:
        raise errors.NotFound(f"content {digest}: not found") from None
    info = content_pb2.Info(digest=digest, size=status.st_size)
    info.created_at.FromNanoseconds(status.st_mtime_ns)
    info.updated_at.FromNanoseconds(status.st_mtime_ns)
    return info
