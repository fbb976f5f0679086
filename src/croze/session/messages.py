"""Messages of a client, which may be anything."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from google.protobuf.message import DecodeError

from croze.api import control_pb2
from croze.rpc.status import from_status, status
from croze.session.contract import R

_INTERNAL = 13


def decode(kind: type[R], data: bytes) -> R:
    """The message of this kind in its bytes. Raises a `CrozeError` of code `INTERNAL` for what is
    none."""
    try:
        return kind.FromString(data)
    except DecodeError as error:
        message = f"failed to unmarshal the received message: {kind.__name__}: {error}"
        raise from_status(status(_INTERNAL, message)) from None


_BYTES: Final = b"\x0a"
"""The tag of the only field of a `BytesMessage` (protobuf's encoding), control's and filesync's."""
_TAG: Final = _BYTES[0]


def bytes_head(length: int) -> bytes:
    """What is in front of so many bytes in a `BytesMessage`."""
    return _BYTES + encoded(length)


def all_carried(
    messages: Sequence[bytes], parse: Callable[[bytes], control_pb2.BytesMessage]
) -> bytes:
    """What these carry (`carried`), put together. Nearly all are short, one for each frame of a
    client's list of files, and are told by their first three bytes."""
    pieces: list[bytes | memoryview] = []
    add = pieces.append
    for message in messages:
        size = len(message)
        if size > 2 and message[0] == _TAG:
            length, more = message[1], message[2]
            if length < 0x80:
                if length + 2 == size:
                    add(message[2:])
                    continue
            elif more < 0x80 and (length & 0x7F | more << 7) + 3 == size:
                add(message[3:])
                continue
        add(carried(message, parse))
    return b"".join(pieces)


def carried(
    message: bytes, parse: Callable[[bytes], control_pb2.BytesMessage]
) -> bytes | memoryview:
    """The bytes that a `BytesMessage` carries, in place; `parse` is for one that is written in any
    other way than all do. There is one for each few kilobytes of all that a session carries."""
    if message.startswith(_BYTES):
        size, at = varint(message, len(_BYTES))
        if at + size == len(message):
            return memoryview(message)[at:]
    return parse(message).data


def varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of up to 32 bits, and where it ends; beyond the end of the data if it has none."""
    if at + 1 < len(data):  # nearly all have a byte or two
        first, second = data[at], data[at + 1]
        if first < 0x80:
            return first, at + 1
        if second < 0x80:
            return first & 0x7F | second << 7, at + 2
    value = shift = 0
    for byte in data[at : at + 5]:
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    return value, len(data) + 1


def encoded(value: int) -> bytes:
    """The number as a varint."""
    if value < 0x80:
        return bytes((value,))
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*encoded, value))
