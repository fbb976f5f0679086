"""JSON as BuildKit's replies have it: two spaces of indentation, `<`, `>` and `&` escaped,
messages with the field names of their `.proto`."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence

from google.protobuf.message import Message

from croze.errors import Range
from croze.gotypes.strings import ESCAPED

JsonValue = object
_ESCAPES = str.maketrans(
    {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
)


def dump(value: JsonValue) -> bytes:
    """Indented text; bytes as base64, `\\ufffd` for each byte of a text that is not UTF-8. Empty
    lists and objects stay on one line."""
    text = json.dumps(value, indent=2, ensure_ascii=False, default=_plain)
    return ESCAPED.sub(r"\\ufffd", text.translate(_ESCAPES)).encode()


def message(value: Message) -> dict[str, JsonValue]:
    """A protobuf message; fields with default values are left out."""
    out: dict[str, JsonValue] = {}
    for field in value.DESCRIPTOR.fields:
        content: object = getattr(value, field.name)
        if field.has_presence and not value.HasField(field.name):
            continue
        if field.has_presence or content:
            out[field.name] = _plain(content)
    return out


def _plain(value: object) -> JsonValue:
    if isinstance(value, Message):
        return message(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Mapping):
        return {key: _plain(value[key]) for key in sorted(value)}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(item) for item in value]
    return value


def location(ranges: Sequence[Range]) -> dict[str, JsonValue]:
    """A `pb.Location` in source 0."""
    if not ranges:
        return {}
    return {
        "ranges": [
            {
                "start": _position(r.start.line, r.start.character),
                "end": _position(r.end.line, r.end.character),
            }
            for r in ranges
        ]
    }


def _position(line: int, character: int) -> dict[str, JsonValue]:
    members = {"line": line, "character": character}
    return {key: value for key, value in members.items() if value}
