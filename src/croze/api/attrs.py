"""Attributes on the wire (`attr.proto`) and as a dict of text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from croze.api.attr_pb2 import Attr
from croze.gotypes.strings import from_bytes, to_bytes


def to_attrs(attrs: Mapping[str, str]) -> list[Attr]:
    """Sorted, as a map is marshalled deterministically."""
    return [Attr(key=to_bytes(key), value=to_bytes(attrs[key])) for key in sorted(attrs)]


def of_attrs(attrs: Iterable[Attr]) -> dict[str, str]:
    """The attributes as a mapping; of several with one key the last counts."""
    return {from_bytes(attr.key): from_bytes(attr.value) for attr in attrs}
