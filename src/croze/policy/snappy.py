"""Snappy's block format, unpacked (github.com/google/snappy, `format_description.txt`)."""

from __future__ import annotations


def decompress(data: bytes, most_bytes: int) -> bytes:
    """The bytes that a block stands for, `most_bytes` at most. Raises ValueError for what is no
    such block, or too large."""
    size, at = _varint(data)
    if size > most_bytes:
        raise ValueError("snappy: decoded block is too large")
    out = bytearray()
    while at < len(data) and len(out) <= size:
        if data[at] & 3 == 0:
            length, at = _literal_length(data, at)
            out += _taken(data, at, length)
            at += length
        else:
            length, offset, at = _copy(data, at)
            _append_copy(out, length, offset)
    if len(out) != size:
        raise ValueError("snappy: corrupt input")
    return bytes(out)


def _taken(data: bytes, at: int, length: int) -> bytes:
    piece = data[at : at + length]
    if len(piece) < length:
        raise ValueError("snappy: corrupt input")
    return piece


def _varint(data: bytes) -> tuple[int, int]:
    value = 0
    for at, byte in enumerate(data[:5]):
        value |= (byte & 0x7F) << (7 * at)
        if byte < 0x80:
            return value, at + 1
    raise ValueError("snappy: corrupt input")


def _literal_length(data: bytes, at: int) -> tuple[int, int]:
    length = data[at] >> 2
    at += 1
    if length < 60:
        return length + 1, at
    count = length - 59
    return int.from_bytes(_taken(data, at, count), "little") + 1, at + count


def _copy(data: bytes, at: int) -> tuple[int, int, int]:
    tag = data[at]
    match tag & 3:
        case 1:
            offset = (tag >> 5) << 8 | _taken(data, at + 1, 1)[0]
            return 4 + ((tag >> 2) & 7), offset, at + 2
        case 2:
            return 1 + (tag >> 2), int.from_bytes(_taken(data, at + 1, 2), "little"), at + 3
    return 1 + (tag >> 2), int.from_bytes(_taken(data, at + 1, 4), "little"), at + 5


def _append_copy(out: bytearray, length: int, offset: int) -> None:
    """What overlaps with its own copy repeats."""
    if not 0 < offset <= len(out):
        raise ValueError("snappy: corrupt input")
    while length:
        piece = out[len(out) - offset :][:length]
        out += piece
        length -= len(piece)
