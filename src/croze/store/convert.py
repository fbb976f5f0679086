"""The same layer in another compression: runs in a worker process."""

from __future__ import annotations

import os

from croze.errors import Corrupted
from croze.fs.tar.compress import BlobSums, Readable, read_errors
from croze.fs.tar.estargz import open_layer

_CHUNK_BYTES = 1 << 20


def convert_layer(source: str, target: str, compression: str, level: int | None = None) -> BlobSums:
    """Write the layer blob `source` to `target` in another compression, both digests taken on the
    way. Only the table of contents of eStargz comes and goes with its compression, and changes the
    diff ID. Raises `Corrupted` if `source` can't be read."""
    from croze.fs.tar.estargz_write import layer_writer

    fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with open(source, "rb") as file, layer_writer(fd, compression, level) as blob:
            reader = open_layer(file)
            while chunk := _read(reader, source):
                blob.write(chunk)
            return blob.finish()
    finally:
        os.close(fd)


def _read(reader: Readable, source: str) -> bytes:
    try:
        return reader.read(_CHUNK_BYTES)
    except read_errors() as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise Corrupted(f"failed to read layer {source}: {error}") from error
