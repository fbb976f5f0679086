"""Go's compact JSON of protobuf messages, byte for byte: cache digests are made of it.

Format: `encoding/json` on the structs of Go's protobuf generator. Fields in declaration order under
their proto names; zero values, empty lists and missing messages left out; bytes as base64, enums
and 64 bit integers as numbers, map keys sorted. A `oneof` is a field of its own, named like it with
a capital.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import msgspec
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from croze.gotypes import gojson

_PLAIN = (str, int, bytes)
_JSON_NAMES = {"byID": "byId"}
"""Members of a `oneof` that Go's side spells differently."""


def encode(value: object) -> bytes:
    """JSON text of plain values: dicts (in their order), lists, strings, numbers, bytes, messages.
    Strings are such as a message can hold: valid Unicode."""
    return gojson.escape(_ENCODER.encode(value))


def _plain(value: object) -> object:
    """What a message says, for an encoder that doesn't know messages."""
    if isinstance(value, Message):
        return message(value)
    raise TypeError(f"not JSON: {type(value).__name__}")


_ENCODER = msgspec.json.Encoder(enc_hook=_plain)


def message(msg: Message) -> dict[str, Any]:
    """The message as an ordered dict of what its JSON has."""
    out: dict[str, Any] = {}
    for field, value in sorted(msg.ListFields(), key=_declared):
        _, name, member = _place(field)
        out[name] = _choice(member, value) if member else _value(value)
    return out


def _declared(item: tuple[FieldDescriptor, Any]) -> int:
    return _place(item[0])[0]


@functools.cache
def _place(field: FieldDescriptor) -> tuple[int, str, str]:
    """Place in the declaration, which need not be that of its number; name in JSON; and its own
    name, if it is a member of the `oneof` that is named there."""
    oneof = field.containing_oneof
    if oneof is None:
        return field.index, field.name, ""
    return field.index, oneof.name.capitalize(), field.name


def _choice(chosen: str, value: object) -> dict[str, Any]:
    """The member of a `oneof` that is set."""
    if isinstance(value, Message):
        return {chosen: message(value)}
    return {_JSON_NAMES.get(chosen, chosen): value} if value else {}


def _value(value: Any) -> Any:
    """The value of a field that says something: what says nothing is not listed."""
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, Message):
        return message(value)
    if isinstance(value, Mapping):
        return {k: _item(value[k]) for k in sorted(value)}
    return [_item(v) for v in value]


def _item(value: object) -> Any:
    return message(value) if isinstance(value, Message) else value
