"""A content store that a client lends (containerd's Content service): OCI layouts and caches.

Store ids, as BuildKit names them: `oci:<store>` for a layout that a source reads, `export` for the
target of an `oci` export with tar=false, `local:<dir>` for a local cache.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import grpc.aio

from croze import errors
from croze.api import content_pb2
from croze.api.content_pb2_grpc import ContentStub
from croze.rpc.clients import translated, write_to
from croze.session.contract import Session

if TYPE_CHECKING:
    from croze.api.content_pb2_grpc import ContentAsyncStub

STORE_HEADER = "buildkit-attachable-store-id"

CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class BlobInfo:
    digest: str
    size: int
    labels: Mapping[str, str] = field(default_factory=dict)


class LentStore:
    """One of a client's stores. A missing blob is `errors.NotFound`."""

    def __init__(self, session: Session, store_id: str) -> None:
        """Raises `InvalidRequest` for an id that can't be sent."""
        if not (store_id.isascii() and store_id.isprintable()):
            raise errors.InvalidRequest(
                f'header key "{STORE_HEADER}" contains value with non-printable ASCII characters'
            )
        self._session = session
        self._metadata = ((STORE_HEADER, store_id),)

    def _stub(self) -> ContentAsyncStub:
        return ContentStub(self._session.channel)

    async def info(self, digest: str) -> BlobInfo:
        with translated():
            answer = await self._stub().Info(
                content_pb2.InfoRequest(digest=digest), metadata=self._metadata
            )
        return _blob_info(answer.info)

    async def list(self) -> list[BlobInfo]:
        found: list[BlobInfo] = []
        with translated():
            call = self._stub().List(content_pb2.ListContentRequest(), metadata=self._metadata)
            async for page in call:
                found.extend(_blob_info(info) for info in page.info)
        return found

    async def read(self, digest: str, offset: int = 0, size: int = 0) -> AsyncIterator[bytes]:
        """The blob's bytes from `offset`; `size` 0 means to the end."""
        request = content_pb2.ReadContentRequest(digest=digest, offset=offset, size=size)
        with translated():
            call = self._stub().Read(request, metadata=self._metadata)
            try:
                async for message in call:
                    yield message.data
            finally:
                call.cancel()

    async def read_all(self, digest: str, limit: int = 8 << 20) -> bytes:
        """A small blob, such as a manifest. Raises `errors.ResourceExhausted` beyond `limit`."""
        pieces, total = [], 0
        async for piece in self.read(digest):
            total += len(piece)
            if total > limit:
                raise errors.ResourceExhausted(f"{digest} is larger than {limit} bytes")
            pieces.append(piece)
        return b"".join(pieces)

    async def status(self, ref: str) -> int:
        """How many bytes of a write under `ref` have arrived."""
        with translated():
            answer = await self._stub().Status(
                content_pb2.StatusRequest(ref=ref), metadata=self._metadata
            )
        return answer.status.offset

    async def write(
        self, digest: str, size: int, chunks: AsyncIterator[bytes], *, ref: str = ""
    ) -> None:
        """Store a blob; nothing happens if it is there already. The client checks the digest."""
        try:
            with translated():
                call = self._stub().Write(None, metadata=self._metadata)
                try:
                    await _write(call, digest, size, chunks, ref or f"layer-{digest}")
                finally:
                    call.cancel()
        except errors.AlreadyExists:
            return


def _blob_info(info: content_pb2.Info) -> BlobInfo:
    return BlobInfo(info.digest, info.size, dict(info.labels))


_WriteCall: TypeAlias = (
    "grpc.aio.StreamStreamCall[content_pb2.WriteContentRequest, content_pb2.WriteContentResponse]"
)


async def _write(
    call: _WriteCall, digest: str, size: int, chunks: AsyncIterator[bytes], ref: str
) -> None:
    """STAT, then the data in WRITEs, then COMMIT; each is answered before the next is sent."""
    request = content_pb2.WriteContentRequest
    await _ask(call, request(action=content_pb2.STAT, ref=ref, total=size, expected=digest))
    offset = 0
    async for data in chunks:
        for start in range(0, len(data), CHUNK_BYTES):
            piece = data[start : start + CHUNK_BYTES]
            await _ask(call, request(action=content_pb2.WRITE, offset=offset, data=piece))
            offset += len(piece)
    commit = request(action=content_pb2.COMMIT, total=size, offset=offset, expected=digest)
    answer = await _ask(call, commit)
    if answer.digest != digest:
        raise errors.Corrupted(f"unexpected digest: {answer.digest} != {digest}")


async def _ask(
    call: _WriteCall, request: content_pb2.WriteContentRequest
) -> content_pb2.WriteContentResponse:
    await write_to(call, request)
    answer = await call.read()
    if isinstance(answer, content_pb2.WriteContentResponse):
        return answer
    raise errors.Unavailable("the client ended a write too early")
