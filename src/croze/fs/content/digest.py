"""Content digests of single entries (golden `cache/README.md`, 1.1: the tarsum v1 of BuildKit)."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable
from typing import TYPE_CHECKING

from croze.fs.entry import Entry, read_xattrs
from croze.fs.tar.header import REGULAR, TYPE_FLAGS

if TYPE_CHECKING:
    from hashlib import _Hash

EMPTY = hashlib.sha256().digest()
_CHUNK = 1 << 20


def text(digest: bytes) -> str:
    return "sha256:" + digest.hex()


def header(
    mode: int,
    uid: int,
    gid: int,
    size: int,
    linkname: bytes = b"",
    device: tuple[int, int] = (0, 0),
    xattrs: dict[str, bytes] | None = None,
) -> bytes:
    """The bytes of an entry that are hashed before its content."""
    kind = stat.S_IFMT(mode)
    bits = 0o777 | mode & 0o7777 if kind == stat.S_IFLNK else mode & 0o7777
    data = b"namemode%duid%dgid%dsize%dtypeflag%slinkname%sunamegnamedevmajor%ddevminor%d" % (
        bits, uid, gid, size if kind == stat.S_IFREG else 0, TYPE_FLAGS.get(kind, REGULAR),
        linkname, device[0], device[1],
    )  # fmt: skip
    return data + _xattrs(xattrs) if xattrs else data


def header_pieces(
    mode: int,
    uid: int,
    gid: int,
    size: int,
    linkname: bytes = b"",
    xattrs: dict[str, bytes] | None = None,
) -> tuple[bytes, ...]:
    """`header` in pieces, a field each, for people to compare."""
    kind, rest = stat.S_IFMT(mode), header(mode, uid, gid, size, linkname, (0, 0), xattrs)
    bits = 0o777 | mode & 0o7777 if kind == stat.S_IFLNK else mode & 0o7777
    fields = (
        b"name",
        b"mode%d" % bits,
        b"uid%d" % uid,
        b"gid%d" % gid,
        b"size%d" % (size if kind == stat.S_IFREG else 0),
        b"typeflag" + TYPE_FLAGS.get(kind, REGULAR),
        b"linkname" + linkname,
        *(b"uname", b"gname", b"devmajor0", b"devminor0"),
    )
    more = rest.removeprefix(b"".join(fields))
    return (*fields, more) if more else fields


def _xattrs(xattrs: dict[str, bytes]) -> bytes:
    pairs = sorted((os.fsencode(key), value) for key, value in xattrs.items())
    return b"".join(key + value for key, value in pairs if _counts(key))


def _counts(key: bytes) -> bool:
    return key == b"security.capability" or not key.startswith((b"security.", b"system."))


def begin(entry: Entry) -> _Hash:
    """The hash of a transferred entry, to be fed with its content."""
    return hashlib.sha256(_header_of(entry))


def whole(entry: Entry, content: Iterable[bytes | memoryview]) -> bytes:
    """The digest of a transferred entry with all of its content, which is small."""
    return hashlib.sha256(b"".join((_header_of(entry), *content))).digest()


def _header_of(entry: Entry) -> bytes:
    link = os.fsencode(entry.linkname) if entry.is_link else b""
    device = entry.devmajor, entry.devminor
    return header(entry.mode, entry.uid, entry.gid, entry.size, link, device, entry.xattrs)


def of_path(path: str, st: os.stat_result) -> bytes:
    """The digest of an entry on disk, as a scan sees it: device numbers don't count."""
    mode = st.st_mode
    link = os.fsencode(os.readlink(path)) if stat.S_ISLNK(mode) else b""
    head = header(mode, st.st_uid, st.st_gid, st.st_size, link, (0, 0), read_xattrs(path))
    if not stat.S_ISREG(mode) or not st.st_size:
        return hashlib.sha256(head).digest()
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        data = os.read(fd, _CHUNK)
        sums = hashlib.sha256(head + data if len(data) < 4096 else head)
        if len(data) >= 4096:
            sums.update(data)
        while len(data) == _CHUNK:
            data = os.read(fd, _CHUNK)
            sums.update(data)
    finally:
        os.close(fd)
    return sums.digest()
