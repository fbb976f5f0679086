"""A content store that a client lends (containerd's Content service): OCI layouts and caches.

Store ids, as BuildKit names them: `oci:<store>` for a layout that a source reads, `export` for the
target of an `oci` export with tar=false, `local:<dir>` for a local cache.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing, suppress

from msgspec import Struct, field

from croze import errors
from croze.api import content_pb2
from croze.session.contract import MessageStream, Session
from croze.session.messages import decode

_SERVICE = "/containerd.services.content.v1.Content"
STORE_HEADER = "buildkit-attachable-store-id"

CHUNK_BYTES = 1 << 20


class BlobInfo(Struct, frozen=True):
    """A blob that a client's content store has. `size` is in bytes."""

    digest: str
    size: int
    labels: Mapping[str, str] = field(default_factory=dict)


class LentStore:
    """One of a client's stores. A missing blob is `errors.NotFound`."""

    def __init__(self, session: Session, store_id: str) -> None:
        """`store_id` is one of those in the module's docstring. Raises `InvalidRequest` for an id
        that can't be sent."""
        if not (store_id.isascii() and store_id.isprintable()):
            raise errors.InvalidRequest(
                f'header key "{STORE_HEADER}" contains value with non-printable ASCII characters'
            )
        self._session = session
        self._metadata = ((STORE_HEADER, store_id),)

    async def info(self, digest: str) -> BlobInfo:
        answer = await self._session.calls.ask(
            f"{_SERVICE}/Info",
            content_pb2.InfoRequest(digest=digest),
            content_pb2.InfoResponse,
            metadata=self._metadata,
        )
        return _blob_info(answer.info)

    async def list(self) -> list[BlobInfo]:
        blobs: list[BlobInfo] = []
        request = content_pb2.ListContentRequest()
        async for message in self._answers("List", request.SerializeToString()):
            page = decode(content_pb2.ListContentResponse, message)
            blobs.extend(_blob_info(info) for info in page.info)
        return blobs

    async def read(self, digest: str, offset: int = 0, size: int = 0) -> AsyncIterator[bytes]:
        """The blob's bytes from `offset`; `size` 0 means to the end."""
        request = content_pb2.ReadContentRequest(digest=digest, offset=offset, size=size)
        async for message in self._answers("Read", request.SerializeToString()):
            yield decode(content_pb2.ReadContentResponse, message).data

    async def _answers(self, method: str, request: bytes) -> AsyncIterator[bytes]:
        async with self._session.calls.stream(f"{_SERVICE}/{method}", self._metadata) as call:
            await call.send(request)
            await call.done_sending()
            while batch := await call.receive():
                for message in batch:
                    yield message

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
        answer = await self._session.calls.ask(
            f"{_SERVICE}/Status",
            content_pb2.StatusRequest(ref=ref),
            content_pb2.StatusResponse,
            metadata=self._metadata,
        )
        return answer.status.offset

    async def write(
        self, digest: str, size: int, chunks: AsyncGenerator[bytes, None], *, ref: str = ""
    ) -> None:
        """Store a blob; nothing happens if it is there already. The client checks the digest.
        `chunks` is closed, whether it was read or not. While somebody else writes under the same
        `ref`, which may be a write of ours that the client still puts away, it is waited for."""
        request = content_pb2.WriteContentRequest(
            action=content_pb2.STAT, ref=ref or f"layer-{digest}", total=size, expected=digest
        )
        pauses = _longest_pauses_s()
        async with aclosing(chunks):
            with suppress(errors.AlreadyExists):
                while not await self._written(request, chunks):
                    await asyncio.sleep(random.uniform(0, next(pauses)))

    async def _written(
        self, begin: content_pb2.WriteContentRequest, chunks: AsyncIterator[bytes]
    ) -> bool:
        """Whether it could be begun; if so, the blob is stored now."""
        async with self._session.calls.stream(f"{_SERVICE}/Write", self._metadata) as call:
            await call.send(begin.SerializeToString())
            try:
                answers = await call.receive()
            except errors.Unavailable:
                return False  # a client that is gone lets nothing be opened again
            _last(answers)
            await _write(call, begin.expected, begin.total, chunks)
            return True


def _longest_pauses_s() -> Iterator[float]:
    """What to wait at most before each further try of a write, as containerd's clients do."""
    longest_s = 0.016
    while True:
        yield longest_s
        longest_s = min(2 * longest_s, 2.0)


def _blob_info(info: content_pb2.Info) -> BlobInfo:
    return BlobInfo(info.digest, info.size, dict(info.labels))


async def _write(call: MessageStream, digest: str, size: int, chunks: AsyncIterator[bytes]) -> None:
    """The data in WRITEs, then COMMIT; each is answered before the next is sent."""
    request = content_pb2.WriteContentRequest
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
    call: MessageStream, request: content_pb2.WriteContentRequest
) -> content_pb2.WriteContentResponse:
    await call.send(request.SerializeToString())
    return _last(await call.receive())


def _last(answers: Sequence[bytes]) -> content_pb2.WriteContentResponse:
    if not answers:
        raise errors.Unavailable("the client ended a write too early")
    return decode(content_pb2.WriteContentResponse, answers[-1])
