"""Blobs of an ndb package database: what SUSE's rpm keeps its headers in.

Source: rpm `lib/backend/ndb/rpmpkg.c`. A table of slots says where each blob is, in blocks; numbers
are little-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

from croze.sbom.package import MalformedDatabase

_HEADER = struct.Struct("<4sIIII")
_SLOT = struct.Struct("<4sIII")
_BLOB = struct.Struct("<4sIII")
_HEADER_BYTES, _PAGE_BYTES, _BLOCK_BYTES = 32, 4096, 16
_TAIL_BYTES = 12


def values(file: BinaryIO, size: int) -> Iterator[bytes]:
    """The blobs of all packages in a file of `size` bytes; together they are no longer than it.
    Raises `MalformedDatabase` where it can't be read on."""
    file.seek(0)
    head = file.read(_HEADER_BYTES)
    if len(head) < _HEADER_BYTES:
        raise MalformedDatabase
    magic, version, _, slot_pages, _ = _HEADER.unpack_from(head)
    end = slot_pages * _PAGE_BYTES
    if magic != b"RpmP" or version or end > size:
        raise MalformedDatabase
    slots = file.read(end - _HEADER_BYTES)
    for magic, package, block, count in _SLOT.iter_unpack(slots[: len(slots) // 16 * 16]):
        if magic != b"Slot":
            raise MalformedDatabase
        if package:
            size -= count * _BLOCK_BYTES
            if size < 0:
                raise MalformedDatabase
            yield _blob(file, package, block, count)


def _blob(file: BinaryIO, package: int, block: int, count: int) -> bytes:
    file.seek(block * _BLOCK_BYTES)
    data = file.read(count * _BLOCK_BYTES)
    if len(data) < _BLOB.size + _TAIL_BYTES:
        raise MalformedDatabase
    magic, owner, _, length = _BLOB.unpack_from(data)
    if magic != b"BlbS" or owner != package or length > len(data) - _BLOB.size - _TAIL_BYTES:
        raise MalformedDatabase
    return data[_BLOB.size : _BLOB.size + length]
