"""What is not known yet, as values that an evaluation carries on with.

A decision that comes out `Unknown` says what it needs to know. A body that fails for other reasons
needs nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TypeAlias

from msgspec import Struct, field

from croze.rego.values import Object, Value

_STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]")


class Unknown(Struct, frozen=True):
    """A value that depends on `refs`, which nobody knows yet."""

    refs: frozenset[str]


class Partial(Struct, frozen=True):
    """A document of which a part is not known."""

    name: str
    value: Value
    parts: Parts


class Parts(Struct):
    """What is not known below a document: keys, and what is not known below these."""

    fields: dict[Value, Parts | str] = field(default_factory=dict)
    """A text is the full name of something that is not known at all."""


Found: TypeAlias = "Value | Unknown | Partial"


def parts_of(refs: Iterable[str]) -> Parts:
    """The parts of `input` that are unknown. Names are such as
    `input.image.provenance.materials[0].image.labels`."""
    root = Parts()
    for ref in refs:
        name = ref.removeprefix("input.")
        steps: list[Value] = [word if word else int(index) for word, index in _STEP.findall(name)]
        parts = root
        for step in steps[:-1]:
            below = parts.fields.setdefault(step, Parts())
            if isinstance(below, str):
                break
            parts = below
        else:
            parts.fields[steps[-1]] = name
    return root


def child(document: Partial, key: Value) -> Found | Missing:
    below = document.parts.fields.get(key)
    if isinstance(below, str):
        return Unknown(frozenset({below}))
    value = step(document.value, key)
    if below is None or isinstance(value, Missing):
        return value
    shown = f"[{key}]" if isinstance(key, int) else f".{key}"
    return Partial(f"{document.name}{shown}".lstrip("."), value, below)


class Missing:
    """Stands where there is no value: undefined."""


MISSING = Missing()


def step(value: Value, key: Value) -> Value | Missing:
    """The value that stands in another at a key."""
    match value:
        case Object():
            return value.get(key, MISSING)
        case tuple():
            if isinstance(key, float) and key.is_integer():
                key = int(key)
            inside = isinstance(key, int) and 0 <= key < len(value)
            return value[key] if inside and isinstance(key, int) else MISSING
        case frozenset():
            return key if key in value else MISSING
    return MISSING


def whole(values: Iterable[Found]) -> Unknown | None:
    """The unknowns that some values depend on, where they are used as they are; None if all are
    known."""
    refs: set[str] = set()
    for each in values:
        if isinstance(each, Unknown):
            refs |= each.refs
        elif isinstance(each, Partial):
            refs.add(each.name)
    return Unknown(frozenset(refs)) if refs else None
