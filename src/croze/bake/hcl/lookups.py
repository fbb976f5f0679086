"""Indexes and attributes of values."""

from __future__ import annotations

from croze.bake.hcl.source import Diagnostic, SourceRange
from croze.bake.hcl.syntax import Attr, Step
from croze.bake.values.convert import ConversionError, to_number, to_string
from croze.bake.values.value import DYNAMIC_VALUE, Value
from croze.gotypes.quote import quote

_INVALID = "Invalid index"
_UNSUPPORTED = "Unsupported attribute"
_NO_ELEMENT = "The given key does not identify an element in this collection value"
_SET = (
    "Elements of a set are identified only by their value and don't have any "
    "separate index or key to "
    "select with, so it's only possible to perform operations across all elements of the set."
)


def follow(value: Value, steps: list[Step], problems: list[Diagnostic]) -> Value:
    """What literal steps lead to from a value; stops at the first error."""
    for step in steps:
        mark = len(problems)
        if isinstance(step, Attr):
            value = attribute(value, step.name, step.range, problems)
        else:
            value = index(value, step.key, step.range, problems)
        if len(problems) > mark:
            return DYNAMIC_VALUE
    return value


def attribute(value: Value, name: str, where: SourceRange, problems: list[Diagnostic]) -> Value:
    """The value of `value.name`; one that is not there is a problem."""
    if value.is_null:
        detail = "This value is null, so it does not have any attributes."
        return _fail("Attempt to get attribute from null value", detail, where, problems)
    if not value.is_known:
        return DYNAMIC_VALUE
    if value.is_mapping:
        if name in value.fields:
            return value.fields[name]
        if value.kind == "map":
            detail = f"This map does not have an element with the key {quote(name)}."
            return _fail("Missing map element", detail, where, problems)
        detail = f"This object does not have an attribute named {quote(name)}."
        return _fail(_UNSUPPORTED, detail, where, problems)
    return _fail(_UNSUPPORTED, _why_no_attribute(value, name), where, problems)


def _why_no_attribute(value: Value, name: str) -> str:
    if value.type.is_primitive:
        return f"Can't access attributes on a primitive-typed value ({value.type.name()})."
    if value.kind in ("list", "set") and value.type.element.kind == "object":
        if value.kind == "set":
            return (
                "Can't access attributes on a set of objects. Did you mean to access "
                "an attribute across "
                "all elements of the set?"
            )
        exists = name in value.type.element.attributes
        which = f"attribute {quote(name)}" if exists else "an attribute"
        return (
            f"Can't access attributes on a list of objects. Did you mean to access {which} for a "
            "specific element of the list, or across all elements of the list?"
        )
    return "This value does not have any attributes."


def index(value: Value, key: Value, where: SourceRange, problems: list[Diagnostic]) -> Value:
    """The value of `value[key]`; one that is not there is a problem."""
    if value.is_null:
        detail = "This value is null, so it does not have any indices."
        return _fail("Attempt to index null value", detail, where, problems)
    if key.is_null:
        return _fail(_INVALID, "Can't use a null value as an indexing key.", where, problems)
    if not (value.is_known and key.is_known):
        return DYNAMIC_VALUE
    try:
        if value.kind in ("list", "tuple"):
            return _sequence_index(value, to_number(key), where, problems)
        if value.kind == "map":
            return _member(value, to_string(key).text, "", where, problems)
        if value.kind == "object":
            hint = " An object only supports looking up attributes by name, not by numeric index."
            text = to_string(key).text
            return _member(value, text, hint if key.kind == "number" else "", where, problems)
    except ConversionError as error:
        return _fail(_INVALID, f"{_NO_ELEMENT}: {error}.", where, problems)
    detail = _SET if value.kind == "set" else "This value does not have any indices."
    return _fail(_INVALID, detail, where, problems)


def _member(
    value: Value, name: str, hint: str, where: SourceRange, problems: list[Diagnostic]
) -> Value:
    if name in value.fields:
        return value.fields[name]
    return _fail(_INVALID, f"{_NO_ELEMENT}.{hint}", where, problems)


def _sequence_index(
    value: Value, key: Value, where: SourceRange, problems: list[Diagnostic]
) -> Value:
    number = key.number
    if number.is_whole and 0 <= number.truncated() < len(value.items):
        return value.items[number.truncated()]
    return _fail(_INVALID, _why_no_element(value, key), where, problems)


def _why_no_element(value: Value, key: Value) -> str:
    number = key.number
    if not number.is_whole:
        return (
            f"{_NO_ELEMENT}: indexing a sequence requires a whole number, but the "
            "given index has a "
            "fractional part."
        )
    if number.sign < 0:
        return f"{_NO_ELEMENT}: a negative number is not a valid index for a sequence."
    # cty looks for an index that is too large among those that are at most the length.
    if number.truncated() == len(value.items):
        if not value.items:
            return f"{_NO_ELEMENT}: the collection has no elements."
        return (
            f"{_NO_ELEMENT}: the given index is greater than or equal to the length of "
            "the collection."
        )
    return f"{_NO_ELEMENT}."


def _fail(summary: str, detail: str, where: SourceRange, problems: list[Diagnostic]) -> Value:
    problems.append(Diagnostic(summary, detail, where))
    return DYNAMIC_VALUE
