"""What a source is asked for."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from croze.errors import InvalidRequest
from croze.image.platform import Platform
from croze.store.contract import RecordType


class SourceRequest(Struct, frozen=True):
    """A `SourceOp`: `identifier` is `scheme://rest`; `attrs` as in LLB."""

    identifier: str
    attrs: Mapping[str, str]
    platform: Platform | None = None


_RECORD_TYPES: Mapping[str, RecordType] = {
    "": "regular",
    "regular": "regular",
    "internal": "internal",
    "frontend": "frontend",
}


def record_type(attrs: Mapping[str, str]) -> RecordType:
    """What becomes of an image's layers in the store. Raises `InvalidRequest`."""
    text = attrs.get("image.recordtype", "")
    if text not in _RECORD_TYPES:
        raise InvalidRequest(f"invalid record type {text}")
    return _RECORD_TYPES[text]


def unknown_source(identifier: str) -> InvalidRequest:
    """Why an identifier names no source, in BuildKit's words."""
    scheme, separator, _ = identifier.partition("://")
    if not separator:
        return InvalidRequest(f"failed to parse {identifier}: invalid")
    return InvalidRequest(f"unknown scheme {scheme}: not found")
