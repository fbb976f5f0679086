"""Values from JSON and as JSON, as cty maps them.

Numbers keep all their digits both ways. Source of the format: cty's JSON mapping (docs/json.md
there).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final, TypeAlias

from croze.bake.values import number as numbers
from croze.bake.values import number_text
from croze.bake.values.convert import ConversionError, convert
from croze.bake.values.types import BOOL, DYNAMIC, NUMBER, STRING, Type, list_of, map_of, set_of
from croze.bake.values.value import (
    NULL,
    Value,
    boolean,
    list_value,
    map_value,
    null_of,
    number,
    object_value,
    set_value,
    string,
    tuple_value,
)
from croze.gotypes.json_text import JsonMembers, JsonNumber, JsonSyntaxError, Parsed, read_json
from croze.gotypes.quote import quote

_ESCAPES: Final = str.maketrans(
    {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
)
_SIMPLE_TYPES: Final = {each.kind: each for each in (STRING, NUMBER, BOOL, DYNAMIC)}
_COLLECTIONS: Final = {"list": list_of, "set": set_of, "map": map_of}
_UNREADABLE: Final = {"list", "set", "map", "tuple", "object"}


Pairs: TypeAlias = "list[tuple[str, Parsed]]"


class JsonError(Exception):
    """The text is not JSON, or not of the wanted type, or the value has no JSON."""


def quoted(text: str) -> str:
    """A JSON string as Go writes it."""
    return json.dumps(text, ensure_ascii=False).translate(_ESCAPES)


def to_json(value: Value) -> str:
    """Compact JSON; members of maps and objects sorted by name."""
    if not value.is_known:
        raise JsonError("value is not known")
    if value.is_null:
        return "null"
    match value.kind:
        case "string":
            return quoted(value.text)
        case "number":
            if value.number.infinite:
                raise JsonError("cannot serialize infinity as JSON")
            return number_text.plain(value.number)
        case "bool":
            return "true" if value.is_true else "false"
        case "map" | "object":
            fields = value.fields
            return "{" + ",".join(f"{quoted(k)}:{to_json(fields[k])}" for k in sorted(fields)) + "}"
        case "list" | "set" | "tuple":
            return "[" + ",".join(map(to_json, value.values)) + "]"
    raise JsonError(f"cannot JSON-serialize {value.type.name()}")


def _read(text: str, *, stream: bool = False) -> Parsed:
    try:
        return read_json(text, stream=stream)
    except JsonSyntaxError as error:
        raise JsonError(str(error)) from None


def from_json(text: str) -> Value:
    """The value of a JSON text, with the types it shows: tuples, objects and primitives."""
    return _implied(_read(text, stream=True))


def _implied(parsed: Parsed) -> Value:
    if parsed is None:
        return NULL
    if isinstance(parsed, bool):
        return boolean(parsed)
    if isinstance(parsed, JsonNumber):
        exact = numbers.parse(parsed)
        if exact is None:
            raise JsonError("a number is required")
        return number(exact)
    if isinstance(parsed, str):
        return string(parsed)
    if isinstance(parsed, JsonMembers):
        return _implied_object(parsed.pairs)
    return tuple_value([_implied(each) for each in parsed])


def _implied_object(members: Pairs) -> Value:
    fields: dict[str, Value] = {}
    for name, each in members:
        value = _implied(each)
        if name in fields and fields[name].type != value.type:
            raise JsonError(f"duplicate {quote(name)} property in JSON object")
        fields[name] = value
    return object_value(fields)


def from_typed_json(text: str, want: Type) -> Value:
    """The value of a JSON text as one of the wanted type."""
    try:
        parsed = _read(text)
    except JsonError as error:
        if want.kind in _UNREADABLE and text.strip():
            raise JsonError(f"failed to read {want.kind} value: {error}") from None
        raise
    return _typed(parsed, want)


def _typed(parsed: Parsed, want: Type) -> Value:
    if parsed is None:
        return null_of(want)
    match want.kind:
        case "string" | "number" | "bool":
            return _primitive(parsed, want)
        case "list" | "set":
            items = [_typed(each, want.element) for each in _items(parsed)]
            build = list_value if want.kind == "list" else set_value
            return build(items, want.element)
        case "tuple":
            return _tuple(_items(parsed), want)
        case "map":
            members = {name: _typed(each, want.element) for name, each in _members(parsed)}
            return map_value(members, want.element)
        case "object":
            return _object(_members(parsed), want)
    return _described(_members(parsed))


def _items(parsed: Parsed) -> list[Parsed]:
    if not isinstance(parsed, list):
        raise JsonError("missing expected [")
    return parsed


def _members(parsed: Parsed) -> Pairs:
    if not isinstance(parsed, JsonMembers):
        raise JsonError("missing expected {")
    return parsed.pairs


def _primitive(parsed: Parsed, want: Type) -> Value:
    if want.kind == "number" and isinstance(parsed, str):
        exact = numbers.parse(parsed)
        if exact is None:
            raise JsonError("a number is required")
        return number(exact)
    if want.kind == "string" and isinstance(parsed, str):
        return string(parsed)
    if isinstance(parsed, bool) and want.kind != "number":
        return boolean(parsed) if want.kind == "bool" else string("true" if parsed else "false")
    if want.kind == "bool" and isinstance(parsed, str) and not isinstance(parsed, JsonNumber):
        try:
            return convert(string(parsed), want)
        except ConversionError as error:
            raise JsonError(str(error)) from None
    raise JsonError(f"{want.kind} is required")


def _tuple(items: Sequence[Parsed], want: Type) -> Value:
    if len(items) != len(want.elements):
        problem = "too many" if len(items) > len(want.elements) else "not enough"
        raise JsonError(f"{problem} tuple elements (need {len(want.elements)})")
    return tuple_value([_typed(each, t) for each, t in zip(items, want.elements, strict=True)])


def _object(members: Pairs, want: Type) -> Value:
    fields: dict[str, Value] = {}
    for name, each in members:
        if name not in want.attributes:
            raise JsonError(f"unsupported attribute {quote(name)}")
        fields[name] = _typed(each, want.attributes[name])
    for name, absent in want.attributes.items():
        if name not in fields:
            fields[name] = null_of(absent)
    return object_value(fields)


def _described(members: Pairs) -> Value:
    """A value of any type, which names its type beside itself."""
    described = dict(members)
    for name in described:
        if name not in ("type", "value"):
            raise JsonError(f"invalid key {quote(name)} in dynamically-typed value")
    for name in ("type", "value"):
        if name not in described:
            raise JsonError(f"missing {name} in dynamically-typed value")
    return _typed(described["value"], _type(described["type"]))


def _type(parsed: Parsed) -> Type:
    if isinstance(parsed, str) and parsed in _SIMPLE_TYPES:
        return _SIMPLE_TYPES[parsed]
    if isinstance(parsed, list) and len(parsed) >= 2:
        kind, inner = parsed[0], parsed[1]
        if isinstance(kind, str) and kind in _COLLECTIONS:
            return _COLLECTIONS[kind](_type(inner))
        if kind == "tuple" and isinstance(inner, list):
            return Type("tuple", elements=tuple(map(_type, inner)))
        if kind == "object" and isinstance(inner, JsonMembers):
            return Type("object", attributes={name: _type(each) for name, each in inner.pairs})
    raise JsonError("failed to decode type for dynamic value: invalid complex type description")
