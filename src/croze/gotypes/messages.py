"""Go's compact JSON of protobuf messages, byte for byte: cache digests are made of it.

Format: `encoding/json` on the structs of Go's protobuf generator. Fields in declaration order under
their proto names; zero values, empty lists and missing messages left out; bytes as base64, enums
and 64 bit integers as numbers, map keys sorted. A `oneof` is a field of its own, named like it with
a capital.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

_ESCAPES = str.maketrans(
    {
        c: f"\\u{ord(c):04x}"
        for c in ("<", ">", "&", "\N{LINE SEPARATOR}", "\N{PARAGRAPH SEPARATOR}")
    }
)

_JSON_NAMES = {"byID": "byId"}
"""Members of a `oneof` that Go's side spells differently."""


def encode(value: object) -> bytes:
    """JSON text of plain values: dicts (in their order), lists, strings, numbers, bytes."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_default)
    return text.translate(_ESCAPES).encode("utf-8", "surrogatepass")


def _default(value: object) -> object:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, Message):
        return message(value)
    raise TypeError(f"not JSON: {type(value).__name__}")


def message(msg: Message) -> dict[str, Any]:
    """The message as an ordered dict of what its JSON has."""
    out: dict[str, Any] = {}
    for field, value in sorted(msg.ListFields(), key=_declared):
        oneof = field.containing_oneof
        if oneof is not None:
            out[oneof.name.capitalize()] = _choice(field.name, value)
        else:
            out[field.name] = _value(value)
    return out


def _declared(item: tuple[FieldDescriptor, Any]) -> int:
    """The place of a field in the declaration, which need not be that of its number."""
    return item[0].index


def _choice(chosen: str, value: object) -> dict[str, Any]:
    """The member of a `oneof` that is set."""
    if isinstance(value, Message):
        return {chosen: message(value)}
    return {_JSON_NAMES.get(chosen, chosen): value} if value else {}


def _value(value: Any) -> Any:
    """The value of a field that says something: what says nothing is not listed."""
    if isinstance(value, str | bytes | bool | int):
        return value
    if isinstance(value, Message):
        return message(value)
    if isinstance(value, Mapping):
        return {k: _item(value[k]) for k in sorted(value)}
    return [_item(v) for v in value]


def _item(value: object) -> Any:
    return message(value) if isinstance(value, Message) else value
