"""Messages and places in a Dockerfile as values of JSON, with the field names of their `.proto`."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence

from google.protobuf.message import Message

from croze.errors import Range

JsonValue = object


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
