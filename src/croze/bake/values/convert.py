"""Conversion of values from one type to another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from croze.bake.values import mismatch, number_text
from croze.bake.values import number as numbers
from croze.bake.values.relations import common_element, convertible, unify
from croze.bake.values.types import (
    BOOL,
    DYNAMIC,
    NUMBER,
    STRING,
    Type,
    list_of,
    map_of,
    object_of,
    set_of,
    tuple_of,
)
from croze.bake.values.value import (
    FALSE,
    TRUE,
    Value,
    all_same_type,
    list_value,
    map_value,
    null_of,
    number,
    object_value,
    set_value,
    string,
    tuple_value,
    unknown_of,
)
from croze.gotypes.quote import quote


class ConversionError(Exception):
    """The value does not fit the wanted type; the text says what would."""


def convert(value: Value, want: Type) -> Value:
    """The value as one of the wanted type."""
    if want.kind == value.kind and (want.is_primitive or value.type == want.without_optional()):
        return value
    if not convertible(value.type, want, unsafe=True):
        raise ConversionError(mismatch.message(value.type, want))
    return _convert(value, want)


def to_string(value: Value) -> Value:
    return value if value.kind == "string" else convert(value, STRING)


def to_number(value: Value) -> Value:
    return value if value.kind == "number" else convert(value, NUMBER)


def to_bool(value: Value) -> Value:
    return value if value.kind == "bool" else convert(value, BOOL)


def _convert(value: Value, want: Type) -> Value:
    """The conversion itself, of a type that is known to be convertible."""
    if want.kind == "dynamic":
        return value
    if not value.is_known:
        return unknown_of(_filled_in(value.type, want.without_optional()))
    if value.is_null:
        return null_of(_filled_in(value.type, want.without_optional()))
    match value.kind, want.kind:
        case "tuple", "tuple":
            pairs = zip(value.items, want.elements, strict=True)
            return tuple_value([_part(each, element) for each, element in pairs])
        case "object", "object":
            return _object(value, want)
        case "map", "object":
            return _map_to_object(value, want)
        case (("object" | "map"), "map"):
            return _map(value, want)
        case (("tuple" | "list" | "set"), ("list" | "set")):
            return _sequence(value, want)
    return _primitive(value, want)


def _part(value: Value, want: Type) -> Value:
    if value.kind == want.kind and (want.is_primitive or value.type == want):
        return value
    return _convert(value, want)


def _primitive(value: Value, want: Type) -> Value:
    if want.kind == value.kind:
        return value
    if want.kind == "string":
        if value.kind == "number":
            return string(number_text.plain(value.number))
        return string("true" if value.is_true else "false")
    text = value.text
    if want.kind == "number":
        parsed = numbers.parse(text)
        if parsed is None:
            raise ConversionError("a number is required")
        return number(parsed)
    if text in ("true", "1"):
        return TRUE
    if text in ("false", "0"):
        return FALSE
    if text.lower() in ("true", "false"):
        raise ConversionError(
            f'a bool is required; to convert from string, use lowercase "{text.lower()}"'
        )
    raise ConversionError("a bool is required")


def _plain_null(value: Value) -> Value:
    return null_of(value.type.without_optional()) if value.is_null else value


def _sequence(value: Value, want: Type) -> Value:
    element = want.element
    if value.kind == "tuple":
        element = common_element(value.type, element, True) or element
    items = [_plain_null(_part(each, element)) for each in value.items]
    if want.kind == "list" and value.kind == "tuple":
        items = _unified(items)
    if not all_same_type(items):
        raise ConversionError(f"element types must all match for conversion to {want.kind}")
    if element.kind == "dynamic" and value.kind != "tuple":
        element = value.type.element
    element = element.without_optional()
    return list_value(items, element) if want.kind == "list" else set_value(items, element)


def _unified(items: Sequence[Value]) -> list[Value]:
    """The items, each of the one type that holds them all."""
    if all_same_type(items):
        return list(items)
    unified = unify([each.type for each in items], True)
    if unified is None:
        raise ConversionError("cannot find a common base type for all elements")
    return [_part(each, unified) for each in items]


def _object(value: Value, want: Type) -> Value:
    fields: dict[str, Value] = {}
    for name, type in want.attributes.items():
        if name in value.fields:
            fields[name] = _plain_null(_part(value.fields[name], type))
        else:
            fields[name] = null_of(type.without_optional())
    return object_value(fields)


def _map(value: Value, want: Type) -> Value:
    element = want.element
    if value.kind == "object":
        element = common_element(value.type, element, True) or element
    fields: Mapping[str, Value] = {
        name: _part(each, element) for name, each in value.fields.items()
    }
    if element.is_collection or element.kind == "object":
        fields = dict(zip(fields, _unified(list(fields.values())), strict=True))
    if not all_same_type(list(fields.values())):
        noun = "attribute" if value.kind == "object" else "element"
        raise ConversionError(f"{noun} types must all match for conversion to map")
    if element.kind == "dynamic" and value.kind == "map":
        element = value.type.element
    return map_value(fields, element.without_optional())


def _map_to_object(value: Value, want: Type) -> Value:
    fields: dict[str, Value] = {}
    have = value.type.element
    for name in sorted(value.fields.keys() & want.attributes.keys()):
        type = want.attributes[name]
        if not convertible(have, type, True):
            why = mismatch.message(have, type)
            raise ConversionError(
                f"map element type is incompatible with attribute {quote(name)}: {why}"
            )
        fields[name] = _plain_null(_part(value.fields[name], type))
    for name, type in want.attributes.items():
        if name not in fields and name not in want.optional:
            raise ConversionError(f"map has no element for required attribute {quote(name)}")
        if name not in fields:
            fields[name] = null_of(type)
    return object_value(fields)


def _filled_in(have: Type, want: Type) -> Type:
    """The wanted type with what it leaves open taken from the type there is."""
    if have.kind == "dynamic":
        return want
    if want.kind == "dynamic":
        return have
    if want.kind == "map" and have.kind in ("map", "object"):
        return map_of(_filled_in(_inner(have), want.element))
    if want.kind in ("list", "set") and have.kind in ("list", "set", "tuple"):
        inner = _filled_in(_inner(have), want.element)
        return list_of(inner) if want.kind == "list" else set_of(inner)
    if want.kind == "object":
        return object_of(
            {
                name: _filled_in(have.attributes.get(name, DYNAMIC), t)
                for name, t in want.attributes.items()
            }
        )
    if want.kind == "tuple" and len(have.elements) == len(want.elements):
        return tuple_of(
            [_filled_in(a, b) for a, b in zip(have.elements, want.elements, strict=True)]
        )
    return want


def _inner(have: Type) -> Type:
    if have.is_collection:
        return have.element
    return unify([*have.attributes.values(), *have.elements], unsafe=True) or DYNAMIC
