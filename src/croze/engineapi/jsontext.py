"""JSON that clients send."""

from __future__ import annotations

import typing
from collections.abc import Iterable, Mapping
from typing import TypeVar

import msgspec

from croze.errors import InvalidRequest
from croze.gotypes import gojson

T = TypeVar("T")

_LEAST, _MOST = -(1 << 63), (1 << 63) - 1


def read_json(data: bytes, kind: type[T]) -> T:
    """JSON as a value of that type. Raises `InvalidRequest`."""
    try:
        return gojson.unmarshal(data, type=kind)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"invalid JSON: {error}") from error


def read_struct(data: bytes, kind: type[T]) -> T:
    """JSON as a struct, as Go reads it: null is what a missing member is. Raises
    `InvalidRequest`."""
    return struct_of(read_json(data, dict[str, object]), kind)


def struct_of(value: Mapping[str, object], kind: type[T]) -> T:
    """Like `read_struct`, of JSON that was read already."""
    try:
        return msgspec.convert(_as_go_reads(value, kind), type=kind)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise InvalidRequest(f"invalid JSON: {error}") from error


def named(value: Mapping[str, object], names: Iterable[str]) -> dict[str, object]:
    """An object with these names for members that are called so but for upper and lower case: Go
    reads them as the same."""
    by_folded = {name.casefold(): name for name in names}
    return {by_folded.get(key.casefold(), key): member for key, member in value.items()}


def _as_go_reads(value: object, kind: object) -> object:
    """Names as the structs have them, and nothing in place of null. Raises `InvalidRequest` for a
    number that no field has room for."""
    if isinstance(value, int) and not _LEAST <= value <= _MOST:
        raise InvalidRequest("invalid JSON: a number that does not fit in 64 bits")
    if isinstance(value, list):
        inner = next((arg for arg in _parts(kind) if arg is not list), None)
        return [_as_go_reads(each, inner) for each in value]
    if not isinstance(value, dict):
        return value
    fields = _fields(kind)
    members = named(value, fields) if fields else value
    return {
        key: _as_go_reads(member, fields.get(key))
        for key, member in members.items()
        if member is not None
    }


def _fields(kind: object) -> dict[str, object]:
    """The types of a struct's members by their names; nothing for what is none."""
    for part in (kind, *_parts(kind)):
        if isinstance(part, type) and issubclass(part, msgspec.Struct):
            return {each.encode_name: each.type for each in msgspec.structs.fields(part)}
    return {}


def _parts(kind: object) -> list[object]:
    """The types of a union, and what a list is of."""
    return [part for arg in typing.get_args(kind) for part in (arg, *_parts(arg))]
