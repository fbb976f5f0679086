"""Tar headers, byte for byte as Go's `archive/tar` writes them in PAX format.

A USTAR header wherever the values fit (POSIX.1-1988), else a PAX extended header in front of it
(POSIX.1-2001). Owner names are empty; times are whole seconds.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from functools import lru_cache

BLOCK = 512
END_OF_ARCHIVE = bytes(2 * BLOCK)

REGULAR, HARDLINK, SYMLINK, CHAR, BLOCK_DEVICE, DIRECTORY, FIFO = (
    b"0", b"1", b"2", b"3", b"4", b"5", b"6",
)  # fmt: skip
TYPE_FLAGS = {
    stat.S_IFREG: REGULAR,
    stat.S_IFLNK: SYMLINK,
    stat.S_IFCHR: CHAR,
    stat.S_IFBLK: BLOCK_DEVICE,
    stat.S_IFDIR: DIRECTORY,
    stat.S_IFIFO: FIFO,
}

_NAME, _PREFIX = 100, 155
_MAX_8 = 1 << 21
_MAX_12 = 1 << 33


def encode(
    name: str,
    flag: bytes,
    mode: int,
    uid: int = 0,
    gid: int = 0,
    size: int = 0,
    mtime_s: int = 0,
    linkname: str = "",
    device: tuple[int, int] = (0, 0),
    records: dict[bytes, bytes] | None = None,
) -> bytes:
    """The header blocks of one member. `mode` is the lower twelve bits; `records` are extra PAX
    records."""
    raw_name, raw_link = os.fsencode(name), os.fsencode(linkname)
    if (
        not records
        and len(raw_name) <= _NAME
        and len(raw_link) <= _NAME
        and name.isascii()
        and linkname.isascii()
        and 0 <= mtime_s < _MAX_12
        and size < _MAX_12
        and uid < _MAX_8
        and gid < _MAX_8
    ):
        return _block(raw_name, b"", flag, mode, uid, gid, size, mtime_s, raw_link, device)
    pax = dict(records or {})
    split = _split(raw_name)
    if split is None and (len(raw_name) > _NAME or not name.isascii()):
        pax[b"path"] = raw_name
    if len(raw_link) > _NAME or not linkname.isascii():
        pax[b"linkpath"] = raw_link
    pax.update(_large_numbers(uid, gid, size, mtime_s))
    if not pax and split is not None:
        return _block(split[1], split[0], flag, mode, uid, gid, size, mtime_s, raw_link, device)
    if split is not None:
        pax[b"path"] = raw_name
    main = _block(
        _ascii(raw_name), b"", flag, mode, uid, gid, size, mtime_s, _ascii(raw_link), device
    )
    return _extended(raw_name, pax) + main


def _large_numbers(uid: int, gid: int, size: int, mtime_s: int) -> Iterator[tuple[bytes, bytes]]:
    """PAX records of what a USTAR header has no room for."""
    for key, value, limit in (
        (b"uid", uid, _MAX_8),
        (b"gid", gid, _MAX_8),
        (b"size", size, _MAX_12),
        (b"mtime", mtime_s, _MAX_12),
    ):
        if not 0 <= value < limit:
            yield key, b"%d" % value


def padding(size: int) -> bytes:
    """The zeros that follow a member's content of this size up to the next block."""
    return bytes(-size % BLOCK)


def _block(
    name: bytes,
    prefix: bytes,
    flag: bytes,
    mode: int,
    uid: int,
    gid: int,
    size: int,
    mtime_s: int,
    linkname: bytes,
    device: tuple[int, int] | None,
) -> bytes:
    head = b"%s%07o\0%07o\0%07o\0%011o\0%011o\0" % (
        _string(name, _NAME),
        mode,
        uid if uid < _MAX_8 else 0,
        gid if gid < _MAX_8 else 0,
        size if size < _MAX_12 else 0,
        mtime_s if 0 <= mtime_s < _MAX_12 else 0,
    )
    tail, tail_sum = _tail(flag, linkname, device, prefix)
    return b"%s%06o\0 %s" % (head, sum(head) + tail_sum, tail)


@lru_cache(64)
def _tail(
    flag: bytes, linkname: bytes, device: tuple[int, int] | None, prefix: bytes
) -> tuple[bytes, int]:
    """What follows the checksum, the same for most members; what it and the checksum itself,
    taken as spaces, add to it."""
    tail = b"%s%sustar\x0000%s%s%s" % (
        flag,
        _string(linkname, _NAME),
        bytes(64),
        b"%07o\0%07o\0" % device if device is not None else bytes(16),
        prefix.ljust(_PREFIX + 12, b"\0"),
    )
    return tail, sum(tail) + 8 * 32


def _string(value: bytes, size: int) -> bytes:
    """Cut or filled to `size`; a cut never leaves a slash at the end (it would say directory)."""
    if len(value) <= size:
        return value.ljust(size, b"\0")
    cut = value[:size]
    return cut[:-1].rstrip(b"/").ljust(size, b"\0") if cut.endswith(b"/") else cut


def _split(name: bytes) -> tuple[bytes, bytes] | None:
    """Prefix and name for a long ASCII path that fits USTAR's two fields."""
    if len(name) <= _NAME or not name.isascii() or b"\0" in name:
        return None
    length = len(name)
    if length > _PREFIX + 1:
        length = _PREFIX + 1
    elif name.endswith(b"/"):
        length -= 1
    at = name.rfind(b"/", 0, length)
    rest = len(name) - at - 1
    if at <= 0 or not 0 < rest <= _NAME or at > _PREFIX:
        return None
    return name[:at], name[at + 1 :]


def _ascii(value: bytes) -> bytes:
    if value.isascii():
        return value
    return bytes(byte for byte in value if 0 < byte < 0x80)


def _extended(name: bytes, records: dict[bytes, bytes]) -> bytes:
    """The PAX header for a member called `name`."""
    data = b"".join(pax_record(key, records[key]) for key in sorted(records))
    head, _, tail = name.rpartition(b"/")
    parts = [part for part in (head, b"PaxHeaders.0", tail) if part]
    text = _ascii(b"/".join(parts))[:_NAME].rstrip(b"/")
    block = _block(text, b"", b"x", 0, 0, 0, len(data), 0, b"", None)
    return block + data + padding(len(data))


def pax_record(key: bytes, value: bytes) -> bytes:
    """`length key=value\\n`, the length counting itself."""
    size = len(key) + len(value) + 3
    total = size + len(str(size))
    total = size + len(str(total))
    return b"%d %s=%s\n" % (total, key, value)
