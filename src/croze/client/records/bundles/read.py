"""A bundle taken apart: its records, with what belongs to them as files.

Bundles come from anybody: only what a bundle is made of is unpacked, up to a limit, and each blob
is what its name says.
"""

from __future__ import annotations

import gzip
import hashlib
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec
from msgspec import Struct

from croze.api import control_pb2
from croze.client.records.bundles import record as records
from croze.client.records.bundles.record import Remembered
from croze.errors import Corrupted, CrozeError, InvalidRequest
from croze.fs.tar.read import TarReader
from croze.image import descriptor as media
from croze.image import manifest as manifests
from croze.image.descriptor import Descriptor

LARGEST_BYTES = 1 << 30
_LARGEST_JSON_BYTES = 16 << 20
_MOST_RECORDS = 10_000
_BLOB = re.compile(r"(?:\./)?blobs/sha256/([0-9a-f]{64})\Z")
_CHUNK_BYTES = 1 << 20


class ImportedRecord(Struct, frozen=True):
    """A record of a bundle, and the blobs that it came with."""

    record: control_pb2.BuildHistoryRecord
    local: Remembered
    blobs: tuple[Descriptor, ...]


class RecordBundle:
    """A bundle that is unpacked into a folder of the caller's, which must outlive it. Raises
    `InvalidRequest` for what is no bundle, or one whose parts are not what they should be."""

    def __init__(self, source: BinaryIO, folder: Path) -> None:
        self._folder = folder
        self._index = b""
        try:
            with gzip.GzipFile(fileobj=source) as unpacked:
                self._unpack(TarReader(unpacked))
        except (gzip.BadGzipFile, Corrupted, zlib.error, EOFError) as error:
            raise InvalidRequest(f"not a bundle of build records: {error}") from None
        if not self._index:
            raise InvalidRequest("not a bundle of build records: it has no index.json")

    def _unpack(self, archive: TarReader) -> None:
        remaining_bytes = LARGEST_BYTES
        for member in archive:
            name = member.name.removeprefix("./").rstrip("/")
            if member.flag == "5" and name in ("blobs", "blobs/sha256", "."):
                continue
            blob = _BLOB.match(name)
            is_file = member.flag == "0" and member.sparse is None
            if not is_file or not (blob or name in ("index.json", "oci-layout")):
                raise InvalidRequest(f"{member.name} is nothing that a bundle has")
            remaining_bytes -= member.size
            if remaining_bytes < 0:
                raise InvalidRequest(f"a bundle may hold {LARGEST_BYTES >> 30} GiB")
            if blob:
                self._keep(archive, blob[1])
            elif name == "index.json":
                self._index = archive.read_exact(min(member.size, _LARGEST_JSON_BYTES))

    def _keep(self, source: TarReader, hexadecimal: str) -> None:
        hashed = hashlib.sha256()
        with open(self._folder / hexadecimal, "wb") as blob_file:
            while data := source.read(_CHUNK_BYTES):
                hashed.update(data)
                blob_file.write(data)
        if hashed.hexdigest() != hexadecimal:
            raise InvalidRequest(f"blob sha256:{hexadecimal} is not what its digest says")

    def path(self, digest: str) -> Path:
        """The file with a blob. Raises `InvalidRequest` if the bundle lacks it."""
        path = self._folder / digest.removeprefix("sha256:")
        if not digest.startswith("sha256:") or not path.exists():
            raise InvalidRequest(f"the bundle lacks {digest}")
        return path

    def open(self, digest: str) -> BinaryIO:
        """A blob. Raises `InvalidRequest` if the bundle lacks it."""
        return open(self.path(digest), "rb")

    def records(self) -> Iterator[ImportedRecord]:
        """All records of the bundle. Raises `InvalidRequest`."""
        try:
            records = list(self._manifests(manifests.parse_index(self._index).manifests))
            if not records:
                raise InvalidRequest("no build records found in the bundle")
            for manifest in records:
                yield self._record(manifest)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise InvalidRequest(f"not a bundle of build records: {error}") from None

    def _manifests(self, entries: tuple[Descriptor, ...]) -> Iterator[Descriptor]:
        """The manifests of records; an index of the top may stand for many."""
        count = 0
        for entry in entries:
            nested = entry.media_type in media.INDEX_TYPES
            inner = (
                manifests.parse_index(self._json(entry.digest)).manifests if nested else (entry,)
            )
            for one in inner:
                count += 1
                if one.media_type != media.OCI_MANIFEST or count > _MOST_RECORDS:
                    raise InvalidRequest(f"{one.digest} is not the manifest of a build record")
                yield one

    def _record(self, manifest: Descriptor) -> ImportedRecord:
        parsed = manifests.parse_manifest(self._json(manifest.digest))
        if parsed.config.media_type != records.MEDIA_TYPE:
            raise InvalidRequest(
                f"{manifest.digest} is not the manifest of a build record: it is of "
                f"{parsed.config.media_type}"
            )
        try:
            record, local = records.decoded(self._json(parsed.config.digest))
        except CrozeError as error:
            raise error.wrap(parsed.config.digest) from None
        blobs = tuple(parsed.layers or ())
        for blob in blobs:
            if self.path(blob.digest).stat().st_size != blob.size:
                raise InvalidRequest(f"blob {blob.digest} does not have {blob.size} bytes")
        return ImportedRecord(record, local, blobs)

    def _json(self, digest: str) -> bytes:
        path = self.path(digest)
        if path.stat().st_size > _LARGEST_JSON_BYTES:
            raise InvalidRequest(f"{digest} is too large for JSON of a bundle")
        return path.read_bytes()
