"""Bundles handed over: to a `crozed`, part by part, or to Docker Desktop as they are.

Source of the latter: docker/buildx `commands/history/import.go`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec

from croze.aio.threads import abandonable, in_thread
from croze.api import history_pb2
from croze.api.history_pb2_grpc import HistoryStub
from croze.client.docker.connection import UnixConnection
from croze.client.records.bundles.read import ImportedRecord, RecordBundle
from croze.errors import CrozeError, Unsupported, os_message
from croze.fs.temporary import temporary_directory
from croze.gotypes import gojson
from croze.rpc.clients import translated
from croze.rpc.library import grpc

_CHUNK_BYTES = 1 << 20
_ANSWER_BYTES = 1 << 20


async def import_bundle(channel: grpc.aio.Channel, source: BinaryIO) -> list[ImportedRecord]:
    """Hand a bundle's records to the daemon, which may have had some before. Raises
    `InvalidRequest` for what is no bundle, and `Unsupported` from a daemon of another kind."""
    with temporary_directory("bundle") as folder:
        bundle = await abandonable(lambda: RecordBundle(source, Path(folder)))
        records = await in_thread(lambda: list(bundle.records()))
        await _send(channel, bundle, records)
        return records


async def _send(
    channel: grpc.aio.Channel, bundle: RecordBundle, records: Sequence[ImportedRecord]
) -> None:
    try:
        with translated():
            await HistoryStub(channel).Import(_parts(bundle, records))
    except Unsupported:
        raise Unsupported(
            "failed to send request, check if Docker Desktop is running: it is not on this "
            "machine, and the builder's daemon, which is no crozed, takes no records"
        ) from None


async def _parts(
    bundle: RecordBundle, records: Sequence[ImportedRecord]
) -> AsyncIterator[history_pb2.ImportRequest]:
    sent: set[str] = set()
    for one in records:
        for blob in one.blobs:
            if blob.digest in sent:
                continue
            sent.add(blob.digest)
            head = history_pb2.Blob(digest=blob.digest, size=blob.size)
            yield history_pb2.ImportRequest(blob=head)
            with bundle.open(blob.digest) as file:
                while data := await in_thread(file.read, _CHUNK_BYTES):
                    yield history_pb2.ImportRequest(data=data)
        yield history_pb2.ImportRequest(record=one.record)


def upload(socket: Path, source: BinaryIO) -> list[str]:
    """The refs that Docker Desktop gives the records. Blocks. Raises `CrozeError`."""
    connection = UnixConnection(str(socket))
    try:
        connection.request("POST", "/upload", body=_chunks(source))
        answer = connection.getresponse()
        body = answer.read(_ANSWER_BYTES)
    except OSError as error:
        raise CrozeError(
            f"failed to send request, check if Docker Desktop is running: {os_message(error)}"
        ) from None
    finally:
        connection.close()
    if answer.status != 200:
        raise CrozeError(f"failed to import build: {body.decode(errors='replace')}")
    try:
        return gojson.unmarshal(body, type=list[str])
    except (msgspec.MsgspecError, RecursionError) as error:
        raise CrozeError(f"failed to decode response: {error}") from None


def _chunks(source: BinaryIO) -> Iterator[bytes]:
    while data := source.read(_CHUNK_BYTES):
        yield data
