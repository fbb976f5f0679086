"""`croze.v1.History`: build records from elsewhere, such as out of bundles."""

from __future__ import annotations

from collections.abc import AsyncIterator

from croze.aio.threads import in_thread
from croze.api import control_pb2, history_pb2, history_pb2_grpc
from croze.daemon.engine.engine import Engine
from croze.errors import CrozeError, InvalidRequest
from croze.gotypes.moments import is_a_moment
from croze.patterns import lazy_pattern
from croze.rpc.servers import Context, aborting
from croze.store.blobs import DiskBlobWriter

_REF = lazy_pattern(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}\Z")


class HistoryService(history_pb2_grpc.HistoryServicer):
    """The `History` service. What is imported stays until it is removed: it is not this daemon's to
    expire."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def Import(
        self, request_iterator: AsyncIterator[history_pb2.ImportRequest], context: Context
    ) -> history_pb2.ImportResponse:
        """Take in records, and before each the blobs that it names; their refs. What came before an
        error stays."""
        async with aborting(context), self._engine.store.leases.lease():
            with self._engine.activity.one():
                return history_pb2.ImportResponse(refs=await self._take_in(request_iterator))
        raise AssertionError("aborting always raises")

    async def _take_in(self, parts: AsyncIterator[history_pb2.ImportRequest]) -> list[str]:
        refs: list[str] = []
        part = await anext(parts, None)
        while part is not None:
            match part.WhichOneof("part"):
                case "blob":
                    part = await self._blob(part.blob, parts)
                    continue
                case "record":
                    await self._record(part.record)
                    refs.append(part.record.Ref)
                case _:
                    raise InvalidRequest("data that no blob began")
            part = await anext(parts, None)
        return refs

    async def _blob(
        self, blob: history_pb2.Blob, parts: AsyncIterator[history_pb2.ImportRequest]
    ) -> history_pb2.ImportRequest | None:
        """Writes it down; the part behind it."""
        remaining_bytes = blob.size
        async with self._engine.store.blobs.writer() as writer:
            async for part in parts:
                if part.WhichOneof("part") != "data":
                    await self._commit(writer, blob)
                    return part
                remaining_bytes -= len(part.data)
                if remaining_bytes < 0:
                    raise InvalidRequest(f"blob {blob.digest} is larger than {blob.size} bytes")
                await in_thread(writer.write, part.data)
            await self._commit(writer, blob)
        return None

    async def _commit(self, writer: DiskBlobWriter, blob: history_pb2.Blob) -> None:
        await writer.commit(digest=blob.digest, size=blob.size)

    async def _record(self, record: control_pb2.BuildHistoryRecord) -> None:
        if not _REF.match(record.Ref):
            raise InvalidRequest("a build record needs a ref of letters and digits")
        if not record.HasField("CompletedAt"):
            raise InvalidRequest(f"build {record.Ref} is not completed")
        if not (is_a_moment(record.CreatedAt) and is_a_moment(record.CompletedAt)):
            raise InvalidRequest(f"build {record.Ref} has a time that there is not")
        try:
            await self._engine.history.add(record)
        except CrozeError as error:
            raise error.wrap(f"build {record.Ref}") from None
