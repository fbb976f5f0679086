"""Types of Rego's values, and what can be said of two of them.

A type that isn't known is None. Source of the rules and of the notation: OPA's `types` package.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from functools import reduce
from typing import TypeAlias

from msgspec import Struct

from croze.rego.values import Boolean, Object, Value, order, text

MOST_PARTS = 1000
"""A type of more parts is said to be any: there are short policies whose types are huge."""


class Basic(Struct, frozen=True):
    """The type of null, booleans, numbers or strings."""

    name: str
    rank: int

    def __str__(self) -> str:
        return self.name


class ArrayType(Struct, frozen=True):
    """The type of arrays: `static` are the types of the first items, `dynamic` that of those after
    them."""

    static: tuple[MaybeType, ...]
    dynamic: MaybeType = None

    def __str__(self) -> str:
        listed = f"<{', '.join(map(shown, self.static))}>" if self.static else ""
        return f"array{listed}" + (f"[{self.dynamic}]" if self.dynamic is not None else "")

    def item(self, position: int) -> MaybeType:
        if 0 <= position < len(self.static):
            return self.static[position]
        return self.dynamic if position >= 0 else None


class SetType(Struct, frozen=True):
    of: MaybeType

    def __str__(self) -> str:
        return f"set[{shown(self.of)}]"


class ObjectType(Struct, frozen=True):
    """The type of objects: `static` are the types below known keys, in order; `dynamic` the types
    of all others."""

    static: tuple[tuple[Value, MaybeType], ...]
    dynamic: tuple[MaybeType, MaybeType] | None = None

    def __str__(self) -> str:
        pairs = (f"{_key(key)}: {shown(value)}" for key, value in self.static)
        listed = f"<{', '.join(pairs)}>" if self.static else ""
        if self.dynamic is None:
            return f"object{listed}"
        return f"object{listed}[{shown(self.dynamic[0])}: {shown(self.dynamic[1])}]"

    def field(self, key: Value) -> MaybeType:
        for each, value in self.static:
            if each == key:
                return value
        if self.dynamic is not None and _contains(self.dynamic[0], type_of(key)):
            return self.dynamic[1]
        return None


class AnyType(Struct, frozen=True):
    """One of these types; of none, any."""

    of: tuple[Type, ...] = ()

    def __str__(self) -> str:
        return f"any<{', '.join(map(str, self.of))}>" if self.of else "any"


@dataclasses.dataclass(frozen=True, slots=True)
class FunctionType:
    args: tuple[MaybeType, ...]
    result: MaybeType
    names: tuple[str, ...] = dataclasses.field(default=(), compare=False)
    """The names of the arguments and the result, as they are shown; empty if they have none."""

    def wanted(self, *, result: bool = True) -> str:
        types = [*self.args, *([self.result] if result else [])]
        names = self.names or ("",) * len(types)
        shown_ = (f"{n}: {shown(t)}" if n else shown(t) for n, t in zip(names, types, strict=False))
        return f"({', '.join(shown_)})"

    def __str__(self) -> str:
        return f"({', '.join(map(shown, self.args))}) => {shown(self.result)}"


Type: TypeAlias = Basic | ArrayType | SetType | ObjectType | AnyType | FunctionType
MaybeType: TypeAlias = Type | None

NULL, BOOLEAN = Basic("null", 0), Basic("boolean", 1)
NUMBER, STRING = Basic("number", 2), Basic("string", 3)
ANY = AnyType()


def shown(type_: MaybeType) -> str:
    return "???" if type_ is None else str(type_)


def _key(key: Value) -> str:
    return key if isinstance(key, str) else text(key)


def object_type(
    static: Iterable[tuple[Value, MaybeType]], dynamic: tuple[MaybeType, MaybeType] | None = None
) -> ObjectType:
    return ObjectType(tuple(sorted(static, key=lambda pair: order(pair[0]))), dynamic)


def bounded(type_: MaybeType) -> MaybeType:
    """The type, or any if it has too many parts."""
    return ANY if _parts(type_, MOST_PARTS) <= 0 else type_


def _parts(type_: MaybeType, remaining: int) -> int:
    for part in _parts_of(type_):
        remaining = _parts(part, remaining - 1)
        if remaining <= 0:
            return 0
    return remaining


def _parts_of(type_: MaybeType) -> Iterable[MaybeType]:
    match type_:
        case ArrayType(static, dynamic):
            return (*static, dynamic)
        case SetType(of):
            return (of,)
        case ObjectType(fields, others):
            return (*(value for _, value in fields), *(others or ()))
        case AnyType(types):
            return types
        case FunctionType(args, result):
            return (*args, result)
    return ()


def type_of(value: Value) -> Type:
    """The type of a value that is known."""
    match value:
        case None:
            return NULL
        case Boolean():
            return BOOLEAN
        case str():
            return STRING
        case tuple():
            return ArrayType(tuple(map(type_of, value)))
        case Object():
            return object_type((key, type_of(each)) for key, each in value.items())
        case frozenset():
            return SetType(union(map(type_of, value)) or ANY)
    return NUMBER


# -- order and union --


def _rank(type_: MaybeType) -> tuple[object, ...]:
    """A key to sort by."""
    match type_:
        case Basic():
            return (type_.rank,)
        case ArrayType(static, dynamic):
            return (4, dynamic is not None, _rank(dynamic), tuple(map(_rank, static)))
        case ObjectType(fields, others):
            pairs = tuple((order(key), _rank(value)) for key, value in fields)
            return (5, others is not None, tuple(map(_rank, others or ())), pairs)
        case SetType(of):
            return (6, _rank(of))
        case AnyType(types):
            return (7, tuple(map(_rank, types)))
        case FunctionType(args, result):
            return (8, len(args), tuple(map(_rank, args)), _rank(result))
    return (-1,)


def _contains(type_: MaybeType, other: Type) -> bool:
    if isinstance(type_, AnyType):
        return not isinstance(other, FunctionType) and (not type_.of or other in type_.of)
    return type_ == other


def either(one: MaybeType, other: MaybeType) -> MaybeType:
    """The type of what may be of one type or the other."""
    if one is None or other is None:
        return one if other is None else other
    if isinstance(one, FunctionType) or isinstance(other, FunctionType):
        return _either_function(one, other)
    ones = one.of if isinstance(one, AnyType) else (one,)
    others = other.of if isinstance(other, AnyType) else (other,)
    if ANY in (one, other):
        return ANY
    all_ = sorted({*ones, *others}, key=_rank)
    return all_[0] if len(all_) == 1 else AnyType(tuple(all_))


def _either_function(one: Type, other: Type) -> MaybeType:
    if not isinstance(one, FunctionType) or not isinstance(other, FunctionType):
        return None
    if len(one.args) != len(other.args):
        return None
    args = tuple(either(a, b) for a, b in zip(one.args, other.args, strict=True))
    return FunctionType(args, either(one.result, other.result))


def union(types: Iterable[MaybeType]) -> MaybeType:
    return reduce(either, types, None)


def merged(one: MaybeType, other: MaybeType) -> MaybeType:
    """The type of a document that several rules make."""
    if isinstance(one, SetType) and isinstance(other, SetType):
        return SetType(either(one.of, other.of))
    if isinstance(one, ObjectType) and isinstance(other, ObjectType):
        a, b = one.dynamic, other.dynamic
        if not one.static and not other.static and a is not None and b is not None:
            return ObjectType((), (either(a[0], b[0]), merged(a[1], b[1])))
    return either(one, other)


# -- parts --


def selected(type_: MaybeType, key: Value) -> MaybeType:
    """The type of what stands at a key."""
    match type_:
        case ArrayType():
            whole = isinstance(key, int) or (isinstance(key, float) and key.is_integer())
            return type_.item(int(key)) if whole and isinstance(key, int | float) else None
        case ObjectType():
            return type_.field(key)
        case SetType(of):
            type = type_of(key)
            return type if _contains(of, type) else None
        case AnyType(types):
            return union(selected(each, key) for each in types) if types else ANY
    return None


def keys(type_: MaybeType) -> MaybeType:
    """The type of what it can be asked for; None if for nothing."""
    match type_:
        case ArrayType():
            return NUMBER
        case ObjectType(fields, others):
            type = union(type_of(key) for key, _ in fields)
            return either(type, others[0]) if others else type
        case SetType(of):
            return of
        case AnyType(types):
            return union(map(keys, types)) if types else ANY
    return None


def values(type_: MaybeType) -> MaybeType:
    match type_:
        case ArrayType(static, dynamic):
            return either(union(static), dynamic)
        case ObjectType(fields, others):
            type = union(value for _, value in fields)
            return either(type, others[1]) if others else type
        case SetType(of):
            return of
        case AnyType(types):
            return union(map(values, types)) if types else ANY
    return None


def known_keys(type_: MaybeType) -> list[Value]:
    """The keys of objects of this type that are known, in order."""
    constants: set[Value] = set()
    match type_:
        case ObjectType(fields):
            constants.update(key for key, _ in fields)
        case AnyType(types):
            for each in types:
                constants.update(known_keys(each))
    return sorted(constants, key=order)


def is_open(type_: MaybeType) -> bool:
    """Whether a type, or a part of it, isn't known."""
    if type_ is None:
        return True
    match type_:
        case AnyType():
            return False
        case ArrayType(static, dynamic):
            return any(map(is_open, static)) or (dynamic is not None and is_open(dynamic))
    return any(map(is_open, _parts_of(type_)))


# -- unification --


def unifies(one: MaybeType, other: MaybeType) -> bool:
    """Whether a value may have both types."""
    if one is None or other is None:
        return False
    if isinstance(one, AnyType) or isinstance(other, AnyType):
        return _unifies_any(one, other) or _unifies_any(other, one)
    match one, other:
        case Basic(), Basic():
            return one == other
        case ArrayType(), ArrayType():
            return _unifies_arrays(one, other)
        case ObjectType(), ObjectType():
            return _unifies_objects(one, other)
        case SetType(), SetType():
            return unifies(one.of, other.of)
        case FunctionType(), FunctionType():
            same = len(one.args) == len(other.args)
            return same and all(map(unifies, one.args, other.args))
    return False


def _unifies_any(one: Type, other: Type) -> bool:
    if not isinstance(one, AnyType) or isinstance(other, FunctionType):
        return False
    return not one.of or any(unifies(each, other) for each in one.of)


def _unifies_arrays(one: ArrayType, other: ArrayType) -> bool:
    count = max(len(one.static), len(other.static))
    if not all(unifies(one.item(at), other.item(at)) for at in range(count)):
        return False
    return one.dynamic is None or other.dynamic is None or unifies(one.dynamic, other.dynamic)


def _unifies_objects(one: ObjectType, other: ObjectType) -> bool:
    fields = {key for key, _ in (*one.static, *other.static)}
    if not all(unifies(one.field(key), other.field(key)) for key in fields):
        return False
    if one.dynamic is None or other.dynamic is None:
        return True
    return unifies(one.dynamic[1], other.dynamic[1])
