"""Values for variables from outside: texts that become values of the variable's type."""

from __future__ import annotations

import math
from collections.abc import Mapping

from msgspec import Struct

from croze.bake.errors import BakeError
from croze.bake.options.fields import fields
from croze.bake.values import json
from croze.bake.values import number as numbers
from croze.bake.values.json import JsonError
from croze.bake.values.types import STRING, Type
from croze.bake.values.value import (
    Value,
    boolean,
    list_value,
    map_value,
    number,
    set_value,
    string,
    tuple_value,
)
from croze.errors import InvalidRequest
from croze.gotypes.booleans import checked_bool
from croze.gotypes.numbers import parse_float

JSON_SUFFIX = "_JSON"


class VariableOverride(Struct, frozen=True):
    text: str
    is_json: bool = False


def find_override(
    name: str, prefer_json: bool, outside: Mapping[str, str], defined: Mapping[str, object]
) -> VariableOverride | None:
    """The text for a variable, by its name or by that with `_JSON` if this is no variable."""
    override = VariableOverride(outside[name]) if name in outside else None
    if override is None or prefer_json:
        json_name = name + JSON_SUFFIX
        if json_name not in defined and json_name in outside:
            return VariableOverride(outside[json_name], True)
    return override


def apply_override(
    name: str, override: VariableOverride, want: Type, typed: bool, default: Value | None
) -> Value:
    """The variable's value. `want` is the dynamic type unless the variable says its type."""
    if typed and override.is_json:
        try:
            return json.from_typed_json(override.text, want)
        except JsonError as error:
            raise BakeError(f"failed to convert variable {name} from JSON: {error}") from None
    if want.kind in ("list", "set", "tuple", "map"):
        try:
            return _from_csv(name, override.text, want)
        except BakeError as error:
            raise error.wrap(f"failed to convert variable {name} from CSV") from None
    if typed and want.is_primitive:
        return _primitive(name, override.text, want)
    if typed:
        raise BakeError(f"unsupported type {want.name()} for variable {name}")
    if default is None or default.kind == "dynamic":
        return string(override.text)
    if default.type.is_primitive:
        return _primitive(name, override.text, default.type)
    raise BakeError(f"unsupported type {default.type.name()} for variable {name}")


def _primitive(name: str, text: str, want: Type) -> Value:
    if want.kind == "string":
        return string(text)
    if want.kind == "bool":
        return boolean(checked_bool(text, f"failed to parse {name} as bool", BakeError))
    if want.kind == "number":
        return number(numbers.from_float(_float(name, text)))
    raise BakeError(f"{name} of type {want.name()} is not a primitive")


def _float(name: str, text: str) -> float:
    problem = f"failed to parse {name} as number"
    try:
        number = parse_float(text)
    except InvalidRequest as error:
        raise BakeError(f"{problem}: {error}") from None
    if not math.isfinite(number):
        raise BakeError(f"{problem}: invalid number value")
    return number


def _element(name: str, text: str, element: Type, whole: Type, noun: str = "of") -> Value:
    try:
        return _primitive(name, text, element)
    except BakeError as error:
        raise error.wrap(f"failed to parse element {noun} type {whole.name()}") from None


def _from_csv(name: str, text: str, want: Type) -> Value:
    try:
        parts = fields(text)
    except BakeError as error:
        raise error.wrap(f"failed to parse {text} as CSV") from None
    if want.kind == "tuple" and len(want.elements) != len(parts):
        counts = f"expects {len(want.elements)} elements but only {len(parts)} provided"
        raise BakeError(f"{want.name()} {counts}")
    inner = want.elements if want.kind == "tuple" else (want.element,)
    if not all(each.is_primitive for each in inner):
        raise BakeError(f"unsupported type {want.name()} for CSV specification")
    if want.kind == "tuple":
        pairs = zip(parts, want.elements, strict=True)
        return tuple_value([_element(name, part, each, want) for part, each in pairs])
    if want.kind == "map":
        return _map(name, parts, want)
    items = [_element(name, part, want.element, want) for part in parts]
    return list_value(items, STRING) if want.kind == "list" else set_value(items, STRING)


def _map(name: str, parts: list[str], want: Type) -> Value:
    members: dict[str, Value] = {}
    for part in parts:
        try:
            pair = fields(part, ":")
        except BakeError as error:
            raise error.wrap(f"failed to parse {part} as k/v for variable {name}") from None
        if len(pair) != 2:
            raise BakeError(f"expected one k/v pair but got {len(pair)} pieces from {part}")
        members[pair[0]] = _element(name, pair[1], want.element, want, "from")
    return map_value(members, want.element)
