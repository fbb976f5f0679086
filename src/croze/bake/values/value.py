"""Values: a kind, what it holds, and the type, which for structures is found when somebody asks."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from croze.bake.values import number as numbers
from croze.bake.values import number_text
from croze.bake.values.number import Number
from croze.bake.values.types import (
    BOOL,
    DYNAMIC,
    NUMBER,
    STRING,
    Kind,
    Type,
    list_of,
    map_of,
    object_of,
    set_of,
    tuple_of,
)
from croze.gotypes.quote import quote


class UnknownValue:
    """The value that stands where none could be found because of an error."""

    __slots__ = ()


UNKNOWN: Final = UnknownValue()
Raw = None | str | bool | Number | UnknownValue | tuple["Value", ...] | Mapping[str, "Value"]
_SEQUENCES: Final = frozenset({"list", "set", "tuple"})
_MAPPINGS: Final = frozenset({"map", "object"})
_EMPTY: Final[Mapping[str, Value]] = {}
HEAVIEST: Final = 1_000_000
_CHARACTERS: Final = 16
"""That many characters of a text count as one part."""


class TooLargeError(Exception):
    """A value that is larger than any definition needs: one that doubles again and again."""


class Value:
    """An immutable value. Which accessor may be used follows from the kind.

    `weight` is how much there is to visit in it, wherever it is shared: without an end to that, a
    few lines could keep whoever evaluates them busy for ever.
    """

    __slots__ = ("_type", "kind", "raw", "weight")

    def __init__(
        self, kind: Kind, raw: Raw, type_: Type | None = None, weight: int | None = None
    ) -> None:
        """`weight` if it is known; else it is computed."""
        self.kind = kind
        self.raw = raw
        self._type = type_
        self.weight = _weight(raw) if weight is None else weight
        if self.weight > HEAVIEST:
            raise TooLargeError(f"a {kind} is too large: it has more than {HEAVIEST} parts")

    @property
    def type(self) -> Type:
        if self._type is None:
            if self.kind == "object":
                self._type = object_of({name: each.type for name, each in self.fields.items()})
            else:
                self._type = tuple_of([each.type for each in self.items])
        return self._type

    @property
    def is_null(self) -> bool:
        return self.raw is None

    @property
    def is_known(self) -> bool:
        return self.raw is not UNKNOWN

    @property
    def text(self) -> str:
        assert isinstance(self.raw, str)
        return self.raw

    @property
    def is_true(self) -> bool:
        return self.raw is True

    @property
    def number(self) -> Number:
        assert isinstance(self.raw, Number)
        return self.raw

    @property
    def items(self) -> tuple[Value, ...]:
        """The elements of a list, set or tuple."""
        return self.raw if isinstance(self.raw, tuple) else ()

    @property
    def fields(self) -> Mapping[str, Value]:
        """The elements of a map or object."""
        return self.raw if isinstance(self.raw, Mapping) else _EMPTY

    @property
    def is_sequence(self) -> bool:
        return self.kind in _SEQUENCES

    @property
    def is_mapping(self) -> bool:
        return self.kind in _MAPPINGS

    def elements(self) -> Iterator[tuple[Value, Value]]:
        """Keys and elements, in the order that iteration promises: of keys for maps and objects."""
        if self.kind in _MAPPINGS:
            fields = self.fields
            for name in sorted(fields):
                yield string(name), fields[name]
        elif self.kind == "set":
            for each in self.items:
                yield each, each
        else:
            for index, each in enumerate(self.items):
                yield integer(index), each

    @property
    def values(self) -> list[Value]:
        return [each for _, each in self.elements()]

    @property
    def is_wholly_known(self) -> bool:
        if not self.is_known:
            return False
        return all(each.is_wholly_known for each in (*self.items, *self.fields.values()))

    def __repr__(self) -> str:
        return f"Value({self.kind}, {self.raw!r})"


def _weight(raw: Raw) -> int:
    if isinstance(raw, str):
        return 1 + len(raw) // _CHARACTERS
    if isinstance(raw, tuple):
        return 1 + sum(each.weight for each in raw)
    if isinstance(raw, Mapping):
        return 1 + sum(each.weight for each in raw.values())
    return 1


TRUE: Final = Value("bool", True, BOOL)
FALSE: Final = Value("bool", False, BOOL)
NULL: Final = Value("dynamic", None, DYNAMIC)
DYNAMIC_VALUE: Final = Value("dynamic", UNKNOWN, DYNAMIC)


def string(text: str) -> Value:
    return Value("string", text if text.isascii() else unicodedata.normalize("NFC", text), STRING)


def boolean(value: bool) -> Value:
    return TRUE if value else FALSE


def number(value: Number) -> Value:
    return Value("number", value, NUMBER)


def integer(value: int) -> Value:
    return Value("number", numbers.from_int(value), NUMBER)


def null_of(type_: Type) -> Value:
    return Value(type_.kind, None, type_)


def unknown_of(type_: Type) -> Value:
    return Value(type_.kind, UNKNOWN, type_)


def tuple_value(items: Iterable[Value]) -> Value:
    return Value("tuple", tuple(items))


def object_value(fields: Mapping[str, Value]) -> Value:
    return Value("object", fields)


def list_value(items: Sequence[Value], element: Type | None = None) -> Value:
    """A list; the element type is that of the items unless there are none."""
    chosen = _element_type(items, element)
    return Value("list", tuple(items), list_of(chosen))


def map_value(fields: Mapping[str, Value], element: Type | None = None) -> Value:
    chosen = _element_type(list(fields.values()), element)
    return Value("map", fields, map_of(chosen))


def set_value(items: Iterable[Value], element: Type | None = None) -> Value:
    """A set: equal items once, in the order that iteration promises."""
    by_key: dict[str, Value] = {}
    for each in items:
        by_key.setdefault(order_key(each), each)
    ordered = sorted(by_key.values(), key=_SortKey)
    return Value("set", tuple(ordered), set_of(_element_type(ordered, element)))


def _element_type(items: Sequence[Value], element: Type | None) -> Type:
    first_type = next((each.type for each in items if each.kind != "dynamic"), None)
    return first_type or element or (items[0].type if items else DYNAMIC)


def all_same_type(items: Sequence[Value]) -> bool:
    """Whether a collection could hold all of these."""
    typed = [each for each in items if not (each.kind == "dynamic" and not each.is_known)]
    return all(each.type == typed[0].type for each in typed[1:])


class _SortKey:
    """Orders the elements of a set: primitives by value, the rest in some order that does not
    change."""

    __slots__ = ("value",)

    def __init__(self, value: Value) -> None:
        self.value = value

    def __lt__(self, other: _SortKey) -> bool:
        left, right = self.value, other.value
        if left.raw is None or right.raw is None:
            return left.raw is not None
        if not (left.is_known and right.is_known):
            return left.is_known
        if isinstance(left.raw, Number) and isinstance(right.raw, Number):
            return left.raw < right.raw
        if isinstance(left.raw, bool):
            return left.raw is False
        if isinstance(left.raw, str) and isinstance(right.raw, str):
            return left.raw < right.raw
        return order_key(left) < order_key(right)


def order_key(value: Value) -> str:
    """A text that differs for values that differ, among values of one type."""
    raw = value.raw
    if isinstance(raw, UnknownValue):
        return "?"
    if raw is None:
        return "~"
    if isinstance(raw, str):
        return quote(raw)
    if isinstance(raw, bool):
        return "T" if raw else "F"
    if isinstance(raw, Number):
        return number_text.plain(raw)
    if value.kind == "map":
        fields = value.fields
        return "{" + "".join(f"{quote(k)}:{order_key(fields[k])};" for k in sorted(fields)) + "}"
    inner = "".join(order_key(each) + ";" for each in value.values)
    return f"[{inner}]" if value.kind in ("list", "set") else f"<{inner}>"


def equals(left: Value, right: Value) -> bool | None:
    """Whether two values are equal; None if one of them is not known well enough to tell."""
    if left.is_null or right.is_null:
        if left.is_null and right.is_null:
            return True
        return False if left.is_known and right.is_known else None
    if not (left.is_known and right.is_known):
        known_side, other = (left, right) if left.is_known else (right, left)
        settled = (
            known_side.is_known and not other.type.has_dynamic and known_side.type != other.type
        )
        return False if settled else None
    if left.kind != right.kind:
        return False
    if left.kind in _MAPPINGS:
        return _equal_fields(left, right)
    if left.kind in _SEQUENCES:
        if len(left.items) != len(right.items) or left.type != right.type:
            return False
        return _all_equal(zip(left.items, right.items, strict=True))
    return left.raw == right.raw


def _equal_fields(left: Value, right: Value) -> bool | None:
    if left.fields.keys() != right.fields.keys() or left.type != right.type:
        return False
    return _all_equal((each, right.fields[name]) for name, each in left.fields.items())


def _all_equal(pairs: Iterable[tuple[Value, Value]]) -> bool | None:
    for left, right in pairs:
        same = equals(left, right)
        if not same:
            return same
    return True
