"""Go's compact JSON of protobuf messages, byte for byte: what cache digests are made of.

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
    for field in msg.DESCRIPTOR.fields:
        oneof = field.containing_oneof
        if oneof is not None:
            if field.name == msg.WhichOneof(oneof.name):
                out[oneof.name.capitalize()] = _choice(msg, field.name)
        elif (value := _field(msg, field.name)) is not None:
            out[field.name] = value
    return out


def _choice(msg: Message, chosen: str) -> dict[str, Any]:
    """The member of a `oneof` that is set."""
    value = getattr(msg, chosen)
    if isinstance(value, Message):
        return {chosen: message(value)}
    return {_JSON_NAMES.get(chosen, chosen): value} if value else {}


def _field(msg: Message, name: str) -> Any:
    """The field's value, None where it is left out."""
    value = getattr(msg, name)
    if isinstance(value, Message):
        return message(value) if msg.HasField(name) else None
    if isinstance(value, Mapping):
        return {k: _item(value[k]) for k in sorted(value)} or None
    if isinstance(value, str | bytes | bool | int):
        return value or None
    return [_item(v) for v in value] or None


def _item(value: object) -> Any:
    return message(value) if isinstance(value, Message) else value
