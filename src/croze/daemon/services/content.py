"""`containerd.services.content.v1.Content`: the blobs that build records name, to read only."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

from google.protobuf import empty_pb2

from croze.aio.threads import in_thread
from croze.api import content_pb2, content_pb2_grpc
from croze.daemon.build.status import timestamp
from croze.errors import CrozeError, InvalidRequest, NotFound
from croze.rpc.servers import Context, aborting, coded_unary
from croze.store.blobs import DiskBlobStore

CHUNK_BYTES = 1 << 20
_LISTED_AT_ONCE = 100
_READ_ONLY = "read-only content store"


class ContentService(content_pb2_grpc.ContentServicer):
    """The `Content` service, to read only: nothing is ever under way."""

    def __init__(self, blobs: DiskBlobStore) -> None:
        self._blobs = blobs

    @coded_unary
    async def Info(
        self, request: content_pb2.InfoRequest, context: Context
    ) -> content_pb2.InfoResponse:
        return content_pb2.InfoResponse(info=self._info(request.digest))

    def _info(self, digest: str) -> content_pb2.Info:
        stat = self._blobs.path(digest).stat()
        changed_at = timestamp(datetime.fromtimestamp(stat.st_mtime, UTC))
        return content_pb2.Info(
            digest=digest, size=stat.st_size, created_at=changed_at, updated_at=changed_at
        )

    async def List(
        self, request: content_pb2.ListContentRequest, context: Context
    ) -> AsyncIterator[content_pb2.ListContentResponse]:
        async with aborting(context, plain=False):
            digests = self._blobs.digests()
            for at in range(0, len(digests), _LISTED_AT_ONCE):
                part = digests[at : at + _LISTED_AT_ONCE]
                there = [self._info(digest) for digest in part if self._blobs.has(digest)]
                yield content_pb2.ListContentResponse(info=there)

    async def Read(
        self, request: content_pb2.ReadContentRequest, context: Context
    ) -> AsyncIterator[content_pb2.ReadContentResponse]:
        async with aborting(context, plain=False):
            total = self._blobs.size(request.digest)
            if not 0 <= request.offset <= total:
                raise InvalidRequest(f"read past object length {total} bytes")
            at, end = request.offset, total
            if request.size > 0:
                end = min(end, at + request.size)
            with self._blobs.open(request.digest) as file:
                file.seek(at)
                while data := await in_thread(file.read, min(CHUNK_BYTES, end - at)):
                    yield content_pb2.ReadContentResponse(offset=at, data=data)
                    at += len(data)

    @coded_unary
    async def ListStatuses(
        self, request: content_pb2.ListStatusesRequest, context: Context
    ) -> content_pb2.ListStatusesResponse:
        return content_pb2.ListStatusesResponse()

    @coded_unary
    async def Status(
        self, request: content_pb2.StatusRequest, context: Context
    ) -> content_pb2.StatusResponse:
        raise NotFound(f"ingest {request.ref} not found")

    @coded_unary
    async def Update(
        self, request: content_pb2.UpdateRequest, context: Context
    ) -> content_pb2.UpdateResponse:
        raise CrozeError(_READ_ONLY)

    @coded_unary
    async def Delete(
        self, request: content_pb2.DeleteContentRequest, context: Context
    ) -> empty_pb2.Empty:
        raise CrozeError(_READ_ONLY)

    @coded_unary
    async def Abort(self, request: content_pb2.AbortRequest, context: Context) -> empty_pb2.Empty:
        raise CrozeError(_READ_ONLY)

    async def Write(
        self, request_iterator: AsyncIterator[content_pb2.WriteContentRequest], context: Context
    ) -> AsyncIterator[content_pb2.WriteContentResponse]:
        async with aborting(context, plain=False):
            raise CrozeError(_READ_ONLY)
            yield content_pb2.WriteContentResponse()
