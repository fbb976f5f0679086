"""Where the bytes of sparse tar members belong (GNU tar manual, "Storing Sparse Files")."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Protocol

from croze.errors import Corrupted
from croze.fs.tar.numbers import INVALID, decimal, header_number

Extent = tuple[int, int]
"""Offset and length of stored bytes."""

_BLOCK = 512
_MAX_EXTENTS = 1 << 16
_UNSAID = (b"", b"")
_ONE = (b"1", b"0")
_VERSIONS = ((b"0", b"0"), (b"0", b"1"), _ONE)
_PARTS = ("GNU.sparse.offset", "GNU.sparse.numbytes")


class _Sized(Protocol):
    name: str
    size: int


def old_gnu_map(block: bytes, next_block: Callable[[], bytes]) -> tuple[list[Extent], int]:
    """The extents and full size from a type S header and the blocks that continue it."""
    extents: list[Extent] = []
    size = header_number(block[483:495])
    _add_extents(extents, block[386:482])
    more = block[482]
    while more:
        block = next_block()
        _add_extents(extents, block[:504])
        more = block[504]
    return _validated(extents, size), size


def _add_extents(extents: list[Extent], table: bytes) -> None:
    for at in range(0, len(table), 24):
        if not table[at]:
            return
        extents.append(
            (header_number(table[at : at + 12]), header_number(table[at + 12 : at + 24]))
        )
        if len(extents) > _MAX_EXTENTS:
            raise Corrupted(INVALID)


def pax_map(
    member: _Sized, pairs: Sequence[tuple[str, bytes]], read: Callable[[int], bytes]
) -> tuple[list[Extent] | None, int, str]:
    """The extents, full size and name from PAX records of versions 0.0, 0.1 and 1.0; no extents
    if the records say nothing of them."""
    records = dict(pairs)
    version = (records.get("GNU.sparse.major", b""), records.get("GNU.sparse.minor", b""))
    parts = [value for key, value in pairs if key in _PARTS]
    listed = records.get("GNU.sparse.map", b"")
    if version not in _VERSIONS and (version != _UNSAID or not (listed or parts)):
        return None, member.size, member.name
    name = os.fsdecode(records.get("GNU.sparse.name", b"")) or member.name
    stated = records.get("GNU.sparse.size") or records.get("GNU.sparse.realsize")
    size = decimal(stated) if stated else member.size
    if version == _ONE:
        numbers = _leading_numbers(read)
    else:
        numbers = [decimal(number) for number in (listed.split(b",") if listed else parts)]
    if len(numbers) % 2 or len(numbers) > 2 * _MAX_EXTENTS:
        raise Corrupted(INVALID)
    return _validated(list(zip(numbers[::2], numbers[1::2], strict=True)), size), size, name


def _leading_numbers(read: Callable[[int], bytes]) -> list[int]:
    """The map of version 1.0: decimal lines at the start of the content, padded to a block. The
    first says how many pairs there are."""
    numbers: list[int] = []
    rest = b""
    while not numbers or len(numbers) <= 2 * numbers[0]:
        *lines, rest = (rest + read(_BLOCK)).split(b"\n")
        if len(rest) > _BLOCK:
            raise Corrupted(INVALID)
        numbers += [decimal(line) for line in lines[: 2 * _MAX_EXTENTS]]
        if numbers and numbers[0] > _MAX_EXTENTS:
            raise Corrupted(INVALID)
    return numbers[1 : 2 * numbers[0] + 1]


def _validated(extents: list[Extent], size: int) -> list[Extent]:
    """The extents, if they are in order and within the file. Raises Corrupted."""
    end = 0
    for offset, length in extents:
        if offset < end or offset + length > size:
            raise Corrupted(INVALID)
        end = offset + length
    return extents
