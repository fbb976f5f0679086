"""Why a conversion is impossible, in words."""

from __future__ import annotations

from collections.abc import Iterator

from croze.bake.values.relations import convertible
from croze.bake.values.types import Type
from croze.gotypes.quote import quote


def message(got: Type, want: Type) -> str:
    """What would have been right in place of a value that can't be converted."""
    if got.kind == "object" and want.kind == "object":
        return _objects(got, want)
    if want.is_collection and want.element.kind == "dynamic":
        pairs = {("tuple", "list"), ("tuple", "set"), ("object", "map")}
        if (got.kind, want.kind) in pairs:
            return f"all {want.kind} elements must have the same type"
    if got.kind in ("tuple", "object") and want.is_collection:
        return _collection_from_structure(got, want)
    if got.is_collection and want.is_collection:
        return _collection_from_collection(got, want)
    if _obviously_different(got, want):
        return f"{want.name()} required, but have {got.name()}"
    return f"{want.name(constraint=True)} required"


def _obviously_different(got: Type, want: Type) -> bool:
    return (
        got.is_primitive != want.is_primitive
        or want.kind == "string"
        or {got.kind, want.kind} == {"bool", "number"}
        or (got.kind == "tuple" and want.kind == "object")
    )


def _objects(got: Type, want: Type) -> str:
    missing = sorted(
        name for name in want.attributes.keys() - got.attributes.keys() - want.optional
    )
    if missing:
        return _required([quote(name) for name in missing])
    return next(_attribute_mismatches(got, want), "incorrect object attributes")


def _required(names: list[str]) -> str:
    if len(names) == 1:
        return f"attribute {names[0]} is required"
    if len(names) == 2:
        return f"attributes {names[0]} and {names[1]} are required"
    return f"attributes {', '.join(names[:-1])}, and {names[-1]} are required"


def _attribute_mismatches(got: Type, want: Type) -> Iterator[str]:
    shared = sorted(got.attributes.keys() & want.attributes.keys())
    for unsafe in (True, False):
        for name in shared:
            have, expected = got.attributes[name], want.attributes[name]
            if have != expected and not convertible(have, expected, unsafe):
                yield f"attribute {quote(name)}: {message(have, expected)}"


def _collection_from_structure(got: Type, want: Type) -> str:
    if (got.kind == "object") != (want.kind == "map"):
        return f"{want.name(constraint=True)} required"
    if got.kind == "tuple":
        named = [(str(index), each) for index, each in enumerate(got.elements)]
    else:
        named = [(quote(name), got.attributes[name]) for name in sorted(got.attributes)]
    for name, each in named:
        if each != want.element and not convertible(each, want.element, True):
            return f"element {name}: {message(each, want.element)}"
    return f"all elements must be {want.element.name(constraint=True)}"


def _collection_from_collection(got: Type, want: Type) -> str:
    if (got.kind == "map") != (want.kind == "map"):
        return f"{want.name(constraint=True)} required"
    return f"incorrect {want.kind} element type: {message(got.element, want.element)}"
