"""Packs as files: written chunk by chunk, read back and verified."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Container, Iterator
from typing import Final

import zstandard
from msgspec import Struct, field

from croze.errors import Corrupted
from croze.fs.bundle.format import Chunk, Pack

PACK_BYTES: Final = 16 << 20
"""How much content a pack has; one is full when it has as much."""
_LEVEL: Final = 3
_READ_BYTES: Final = 1 << 20


class PackWriter(Struct):
    """Writes packs below `folder`, named by their digests' hex. A chunk is written once."""

    folder: str
    packs: list[Pack] = field(default_factory=list)
    chunks: set[bytes] = field(default_factory=set)
    """The chunks that were written."""
    _open: _OpenPack | None = None

    def add(self, digest: bytes, data: bytes) -> None:
        if digest in self.chunks:
            return
        self.chunks.add(digest)
        if self._open is None:
            self._open = _OpenPack(os.path.join(self.folder, "open"))
        self._open.add(digest, data)
        if self._open.content_bytes >= PACK_BYTES:
            self._finish()

    def finish(self) -> list[Pack]:
        """Write what is left; the packs that were made."""
        self._finish()
        return self.packs

    def _finish(self) -> None:
        if self._open is not None:
            pack = self._open.finish()
            os.rename(self._open.path, os.path.join(self.folder, pack.digest[7:]))
            self.packs.append(pack)
            self._open = None


class _OpenPack:
    def __init__(self, path: str) -> None:
        self.path = path
        self.content_bytes = 0
        self._file = open(path, "wb", buffering=0)  # noqa: SIM115 - closed by `finish`
        self._stream = zstandard.ZstdCompressor(level=_LEVEL).compressobj()
        self._hash = hashlib.sha256()
        self._size = 0
        self._chunks: list[Chunk] = []

    def add(self, digest: bytes, data: bytes) -> None:
        self._chunks.append(Chunk(digest, len(data)))
        self.content_bytes += len(data)
        self._write(self._stream.compress(data))

    def finish(self) -> Pack:
        with self._file:
            self._write(self._stream.flush())
        digest = "sha256:" + self._hash.hexdigest()
        return Pack(digest, self._size, tuple(self._chunks))

    def _write(self, data: bytes) -> None:
        self._hash.update(data)
        self._size += len(data)
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) :]


def read_pack(path: str, pack: Pack, numbers: Container[int]) -> Iterator[tuple[int, bytes]]:
    """The chunks at the `numbers` places of the pack, each verified. Raises `Corrupted`."""
    with open(path, "rb") as file:
        reader = zstandard.ZstdDecompressor().stream_reader(file, read_size=_READ_BYTES)
        try:
            for place, chunk in enumerate(pack.chunks):
                data = _exactly(reader, chunk.length)
                if place not in numbers:
                    continue
                if len(data) != chunk.length or hashlib.sha256(data).digest() != chunk.digest:
                    raise Corrupted(f"chunk {place} of pack {pack.digest} is not what it should be")
                yield place, data
        except zstandard.ZstdError as error:
            raise Corrupted(f"pack {pack.digest}: {error}") from None


def _exactly(reader: zstandard.ZstdDecompressionReader, size: int) -> bytes:
    """The next bytes: as many as asked for, fewer only at the end."""
    parts: list[bytes] = []
    while size and (part := reader.read(size)):
        parts.append(part)
        size -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)
