"""Records out of daemons into a bundle."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from collections.abc import AsyncIterator, Callable, Sequence
from tempfile import TemporaryFile
from typing import BinaryIO

import msgspec
from msgspec import Struct, field

from croze.aio.threads import in_thread
from croze.api import content_pb2, control_pb2
from croze.api.attrs import of_attrs, to_attrs
from croze.api.content_pb2_grpc import ContentStub
from croze.client.records import history
from croze.client.records.bundles import record as records
from croze.client.records.bundles import spans
from croze.client.records.bundles.record import Remembered
from croze.errors import Corrupted, CrozeError, NotFound
from croze.gotypes import gojson
from croze.image import descriptor as media
from croze.image import manifest as manifests
from croze.image.descriptor import Descriptor
from croze.image.manifest import Index, Manifest
from croze.image.reference import check_digest
from croze.rpc.clients import translated
from croze.rpc.library import grpc

REFERENCE = "vnd.buildkit.history.reference"
ORIGINAL_TYPE = "vnd.export-build.descriptor.mediatype"
_LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'


class ExportedRecord(Struct, frozen=True):
    """A record to be exported, and the daemon that has it."""

    channel: grpc.aio.Channel
    record: control_pb2.BuildHistoryRecord
    local: Remembered


class _Contents(Struct):
    """The blobs of a bundle: bytes, or sizes and where they are to be had."""

    in_memory: dict[str, bytes] = field(default_factory=dict)
    remote: dict[str, tuple[int, grpc.aio.Channel]] = field(default_factory=dict)

    def add(self, data: bytes, media_type: str) -> Descriptor:
        described = manifests.describe(data, media_type)
        self.in_memory[described.digest] = data
        return described


async def write(exported: Sequence[ExportedRecord], out: BinaryIO) -> None:
    """Write a bundle of records. Nothing is written before all of them have been found whole.
    Raises `CrozeError`."""
    contents = _Contents()
    try:
        top = await _top(exported, contents)
    except CrozeError as error:
        raise error.wrap("failed to export") from None
    index = Index(media_type=media.OCI_INDEX, manifests=(top,))
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=out, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w|", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for folder in ("blobs/", "blobs/sha256/"):
            archive.addfile(_entry(folder, 0o755, kind=tarfile.DIRTYPE))
        for digest in sorted(contents.in_memory.keys() | contents.remote.keys()):
            await _add_blob(archive, digest, contents)
        _add(archive, "index.json", 0o644, gojson.marshal(index))
        _add(archive, "oci-layout", 0o444, _LAYOUT)


async def _top(exported: Sequence[ExportedRecord], contents: _Contents) -> Descriptor:
    described = []
    for one in exported:
        try:
            described.append(await _add_record(one, contents))
        except CrozeError as error:
            raise error.wrap("failed to export record") from None
    if len(described) == 1:
        return described[0]
    named = [
        msgspec.structs.replace(descriptor, annotations={REFERENCE: one.record.Ref})
        for descriptor, one in zip(described, exported, strict=True)
    ]
    index = Index(media_type=media.OCI_INDEX, manifests=tuple(named))
    return contents.add(manifests.marshal(index), media.OCI_INDEX)


async def _add_record(one: ExportedRecord, contents: _Contents) -> Descriptor:
    record = control_pb2.BuildHistoryRecord()
    record.CopyFrom(one.record)
    attrs = records.without_secrets(of_attrs(record.FrontendAttrs))
    del record.FrontendAttrs[:]
    record.FrontendAttrs.extend(to_attrs(attrs))
    layers = _RecordBlobs(one.channel, contents)
    if record.HasField("trace"):
        trace = contents.add(await _trace(one.channel, record.trace), record.trace.media_type)
        record.trace.digest, record.trace.size = trace.digest, trace.size
        layers.found.append(trace)
    config = contents.add(records.encoded(record, one.local), records.MEDIA_TYPE)
    if record.HasField("logs"):
        await layers.add(record.logs, "logs")
    if record.HasField("Result"):
        await layers.add_result(record.Result)
    if record.HasField("externalError"):
        await layers.add(record.externalError, "external error")
    for key in sorted(record.Results):
        await layers.add_result(record.Results[key])
    manifest = Manifest(
        media_type=media.OCI_MANIFEST, config=config, layers=tuple(layers.found) or None
    )
    return contents.add(manifests.marshal(manifest), media.OCI_MANIFEST)


class _RecordBlobs:
    """What belongs to one record, each blob once."""

    def __init__(self, channel: grpc.aio.Channel, contents: _Contents) -> None:
        self._channel = channel
        self._contents = contents
        self._seen: set[str] = set()
        self.found: list[Descriptor] = []

    async def add_result(self, info: control_pb2.BuildResultInfo) -> None:
        for one in info.Attestations:
            await self.add(one, "attestation")
        for key in sorted(info.Results):
            await self.add(
                info.Results[key],
                "result",
                lambda one: msgspec.structs.replace(
                    one,
                    media_type="application/json",
                    annotations={**one.annotations, ORIGINAL_TYPE: one.media_type},
                ),
            )

    async def add(
        self,
        one: control_pb2.Descriptor,
        what: str,
        shown: Callable[[Descriptor], Descriptor] = lambda one: one,
    ) -> None:
        if one.digest in self._seen:
            return
        self._seen.add(one.digest)
        try:
            size = await _size(self._channel, check_digest(one.digest))
        except CrozeError as error:
            raise error.wrap(f"failed to load {what} descriptor: failed to get info") from None
        self._contents.remote[one.digest] = size, self._channel
        described = Descriptor(one.media_type, one.digest, one.size, (), dict(one.annotations))
        self.found.append(shown(described))


async def _trace(channel: grpc.aio.Channel, one: control_pb2.Descriptor) -> bytes:
    try:
        data = await history.small_blob(channel, one.digest)
        return await in_thread(spans.without_secrets, data)
    except CrozeError as error:
        raise error.wrap("failed to sanitize trace") from None


async def _size(channel: grpc.aio.Channel, digest: str) -> int:
    with translated():
        info = await ContentStub(channel).Info(content_pb2.InfoRequest(digest=digest))
    return info.info.size


async def _add_blob(archive: tarfile.TarFile, digest: str, contents: _Contents) -> None:
    name = f"blobs/{digest.replace(':', '/')}"
    if digest in contents.in_memory:
        _add(archive, name, 0o444, contents.in_memory[digest])
        return
    size, channel = contents.remote[digest]
    with TemporaryFile() as spool:
        async for part in _read(channel, digest):
            spool.write(part)
            if spool.tell() > size:
                break
        if spool.tell() != size:
            raise Corrupted(f"unexpected size {spool.tell()} of blob {digest}, expected {size}")
        spool.seek(0)
        hashed = await in_thread(hashlib.file_digest, spool, digest.partition(":")[0])
        if hashed.hexdigest() != digest.partition(":")[2]:
            raise Corrupted(f"unexpected digest {hashed.hexdigest()} of blob {digest}")
        spool.seek(0)
        await in_thread(archive.addfile, _entry(name, 0o444, size), spool)


async def _read(channel: grpc.aio.Channel, digest: str) -> AsyncIterator[bytes]:
    try:
        async for part in history.blob(channel, digest):
            yield part
    except NotFound as error:
        raise error.wrap("failed to create dockerbuild archive") from None


def _add(archive: tarfile.TarFile, name: str, mode: int, data: bytes) -> None:
    archive.addfile(_entry(name, mode, len(data)), io.BytesIO(data))


def _entry(name: str, mode: int, size: int = 0, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.mode, entry.size, entry.type = mode, size, kind
    return entry
