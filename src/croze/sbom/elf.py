"""Sections of ELF files (System V ABI)."""

from __future__ import annotations

import os
import struct

_MAX_SECTION_BYTES = 16 << 20
_MAX_SECTIONS = 1 << 12


def sections(fd: int, names: frozenset[str]) -> dict[str, bytes]:
    """The contents of sections by name; none of what is no ELF file, or broken."""
    head = os.pread(fd, 64, 0)
    if len(head) < 52 or head[:4] != b"\x7fELF" or head[4] not in (1, 2) or head[5] not in (1, 2):
        return {}
    order = "<" if head[5] == 1 else ">"
    try:
        return _read(fd, head, order, wide=head[4] == 2, sections_to_read=names)
    except (struct.error, OverflowError, OSError):
        return {}


def _read(
    fd: int, head: bytes, order: str, *, wide: bool, sections_to_read: frozenset[str]
) -> dict[str, bytes]:
    if wide:
        (table,) = struct.unpack_from(f"{order}Q", head, 40)
        size, count, names = struct.unpack_from(f"{order}3H", head, 58)
    else:
        (table,) = struct.unpack_from(f"{order}I", head, 32)
        size, count, names = struct.unpack_from(f"{order}3H", head, 46)
    if not 0 < count <= _MAX_SECTIONS or names >= count:
        return {}
    data = os.pread(fd, size * count, table)
    entry = struct.Struct(f"{order}II4Q" if wide else f"{order}6I")
    rows = [entry.unpack_from(data, size * number) for number in range(count)]
    texts = _content(fd, rows[names])
    sections: dict[str, bytes] = {}
    for row in rows:
        end = texts.find(b"\0", row[0])
        name = texts[row[0] : end].decode("latin-1")
        if name in sections_to_read and name not in sections:
            sections[name] = _content(fd, row)
    return sections


def _content(fd: int, row: tuple[int, ...]) -> bytes:
    return os.pread(fd, min(row[5], _MAX_SECTION_BYTES), row[4])
