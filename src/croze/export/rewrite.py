"""Layers with no file newer than SOURCE_DATE_EPOCH; runs in a worker process.

Every time above the epoch is lowered to it, in place. Of a file's PAX records those of times that
are lowered become whole seconds, and that of its modification, which needs none then, goes. Else a
member stays as it is, but what Go's library, which BuildKit reads and writes it with, spells in one
way is spelled so: numbers, and the end, which is two blocks of zeros. What is behind that is left
out.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from typing import NamedTuple

from croze.errors import Corrupted
from croze.fs.tar.compress import BlobSums, Readable
from croze.fs.tar.estargz import open_layer
from croze.fs.tar.header import pax_record
from croze.patterns import lazy_pattern

_BLOCK = 512
_CHUNK_BYTES = 1 << 20
_LARGEST_PAX_BYTES = 1 << 20
"""The records of one file, as Go's library has it."""
_MOST_DIGITS = 19
"""Digits of a number that fits 64 bits."""
_MTIME = slice(136, 148)
_CHECKSUM = slice(148, 156)
_NUMBERS = (
    *(slice(100, 108), slice(108, 116), slice(116, 124), slice(124, 136), _MTIME),
    *(slice(329, 337), slice(337, 345)),
)
"""Mode, ids, size, time, device."""
_PAX_TIME = lazy_pattern(rb"(mtime|atime|ctime)=(-?[0-9.]+)\n\Z")


def rewrite_layer(
    source: str,
    target: str,
    compression: str,
    level: int | None,
    epoch_s: int,
    unless: str = "",
) -> BlobSums | None:
    """Write the layer blob `source` to `target` with its times lowered, both digests taken on the
    way. None for the one whose tar has the diff ID `unless`. Raises `Corrupted` if `source` is not
    a tar."""
    from croze.fs.tar.estargz_write import layer_writer

    fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with open(source, "rb") as file, layer_writer(fd, compression, level) as blob:
            reader = _Hashing(open_layer(file), hashlib.sha256() if unless else None)
            _rewrite(reader, blob.write, epoch_s)
            sums = blob.finish()
            return None if unless and reader.digest == unless else sums
    finally:
        os.close(fd)


class _Records(NamedTuple):
    """What remains of a file's PAX records and what they say."""

    data: bytes = b""
    late: bool = False
    """The file's time is the epoch now."""
    size_bytes: int | None = None


class _Hashing:
    """What is read, with its digest if that is wanted."""

    def __init__(self, source: Readable, sums: hashlib._Hash | None) -> None:
        self._source = source
        self._sums = sums

    def read(self, size: int = -1, /) -> bytes:
        data = self._source.read(size)
        if self._sums is not None:
            self._sums.update(data)
        return data

    @property
    def digest(self) -> str:
        return f"sha256:{self._sums.hexdigest()}" if self._sums is not None else ""


def _rewrite(reader: Readable, write: Callable[[bytes], object], epoch_s: int) -> None:
    records = _Records()
    while header := _exactly(reader, _BLOCK, may_end=True):
        if not any(header):
            if any(_exactly(reader, _BLOCK, may_end=True)):
                raise Corrupted("layer is not a tar: a block of zeros is followed by another")
            break
        size = _number(header[124:136])
        kind = header[156:157]
        if size < 0:
            raise Corrupted("layer has a member of less than nothing")
        if kind == b"x":
            if size > _LARGEST_PAX_BYTES:
                raise Corrupted("layer has PAX records that are too long")
            records = _lower_pax(_exactly(reader, _padded(size))[:size], epoch_s)
            if data := records.data:
                write(_with_size(_lowered(header, epoch_s), len(data)))
                write(data.ljust(_padded(len(data)), b"\0"))
            continue
        if kind not in (b"L", b"K", b"g"):
            header = _spelled(_at(header, epoch_s) if records.late else _lowered(header, epoch_s))
            size = size if records.size_bytes is None else records.size_bytes
            records = _Records()
        write(header)
        _copy(reader, write, _padded(size) if _has_body(kind) else 0)
    write(bytes(2 * _BLOCK))
    while reader.read(_CHUNK_BYTES):
        continue  # it is hashed


def _has_body(kind: bytes) -> bool:
    return kind not in (b"1", b"2", b"3", b"4", b"5", b"6")


def _copy(reader: Readable, write: Callable[[bytes], object], count: int) -> None:
    while count:
        data = _exactly(reader, min(count, _CHUNK_BYTES))
        write(data)
        count -= len(data)


def _exactly(reader: Readable, count: int, *, may_end: bool = False) -> bytes:
    data = b""
    while len(data) < count:
        piece = reader.read(count - len(data))
        if not piece:
            if may_end and not data:
                return b""
            raise Corrupted("layer ends in the middle of a tar member")
        data += piece
    return data


def _padded(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK


def _number(field: bytes) -> int:
    """Octal text, or GNU's base 256."""
    if field[0] & 0x80:
        value = int.from_bytes(field, "big") & ~(0x80 << 8 * (len(field) - 1))
        if field[0] & 0x40:
            value -= 1 << (8 * len(field) - 1)
        return value
    text = field.strip(b" \0")
    try:
        return int(text, 8) if text else 0
    except ValueError as err:
        raise Corrupted("layer is not a tar") from err


def _spelled(header: bytes) -> bytes:
    """A header with octal numbers as Go writes them, those of devices, too, which others leave
    out."""
    if header[257:262] != b"ustar":
        return header
    spelled = header
    for field in _NUMBERS:
        text, digits = header[field], field.stop - field.start - 1
        if not text[0] & 0x80 and (value := _number(text)) < 8**digits:
            spelled = _with(spelled, field, b"%0*o\0" % (digits, value))
    return header if spelled == header else _replaced(spelled, _MTIME, spelled[_MTIME])


def _with(header: bytes, where: slice, value: bytes) -> bytes:
    return header[: where.start] + value + header[where.stop :]


def _lowered(header: bytes, epoch_s: int) -> bytes:
    if _number(header[_MTIME]) <= epoch_s:
        return header
    return _at(header, epoch_s)


def _at(header: bytes, time_s: int) -> bytes:
    return _replaced(header, _MTIME, b"%011o\0" % time_s)


def _with_size(header: bytes, size: int) -> bytes:
    if _number(header[124:136]) == size:
        return header
    return _replaced(header, slice(124, 136), b"%011o\0" % size)


def _replaced(header: bytes, where: slice, value: bytes) -> bytes:
    block = bytearray(header)
    block[where] = value
    block[_CHECKSUM] = b" " * 8
    block[_CHECKSUM] = b"%06o\0 " % sum(block)
    return bytes(block)


def _lower_pax(body: bytes, epoch_s: int) -> _Records:
    out = bytearray()
    late, size = False, None
    while body:
        digits, _, _ = body.partition(b" ")
        length = _decimal(digits)
        if not 0 < length <= len(body):
            raise Corrupted("layer has a malformed PAX record")
        record, body = body[:length], body[length:]
        if record.startswith(b"size=", len(digits) + 1):
            size = _decimal(record[len(digits) + 6 : -1])
        match = _PAX_TIME.search(record)
        if match is not None and float(match[2]) > epoch_s:
            late = late or match[1] == b"mtime"
            record = b"" if match[1] == b"mtime" else pax_record(match[1], b"%d" % epoch_s)
        out += record
    return _Records(bytes(out), late, size)


def _decimal(text: bytes) -> int:
    if not text.isdigit() or len(text) > _MOST_DIGITS:
        raise Corrupted("layer has a malformed PAX record")
    return int(text)
