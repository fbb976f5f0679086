"""Arrays, sets and objects; comparing; types."""

from __future__ import annotations

from collections.abc import Callable

from croze.rego.builtins.operands import a_set, array, integer, items, num, obj
from croze.rego.errors import FunctionError
from croze.rego.unknowns import Missing, step
from croze.rego.values import Object, Value, boolean, in_order, order, type_name

Order = tuple[object, ...]


def count(value: Value) -> Value:
    if isinstance(value, str | tuple | Object | frozenset):
        return len(value)
    raise FunctionError("must be one of {array, object, set, string}")


def equal(left: Value, right: Value) -> Value:
    return boolean(left == right)


def not_equal(left: Value, right: Value) -> Value:
    return boolean(left != right)


def compared(holds: Callable[[Order, Order], bool]) -> Callable[[Value, Value], Value]:
    return lambda left, right: boolean(holds(order(left), order(right)))


def less(left: Order, right: Order) -> bool:
    return left < right


def less_or_equal(left: Order, right: Order) -> bool:
    return left <= right


def member(value: Value, collection: Value) -> Value:
    if isinstance(collection, Object):
        return boolean(any(each == value for _, each in collection.items()))
    return boolean(isinstance(collection, tuple | frozenset) and value in collection)


def member_with_key(key: Value, value: Value, collection: Value) -> Value:
    if not isinstance(collection, Object | tuple):
        return boolean(False)
    member = step(collection, key)
    return boolean(not isinstance(member, Missing) and member == value)


def array_concat(left: Value, right: Value) -> Value:
    return array(left) + array(right)


def array_flatten(value: Value) -> Value:
    out: list[Value] = []
    for each in array(value):
        out += each if isinstance(each, tuple) else (each,)
    return tuple(out)


def array_slice(value: Value, begin: Value, end: Value) -> Value:
    whole = array(value)
    first, last = max(0, integer(begin)), min(len(whole), integer(end))
    return whole[first:last] if first < last else ()


def array_reverse(value: Value) -> Value:
    return array(value)[::-1]


def sort(values: Value) -> Value:
    return tuple(in_order(items(values)))


# -- sets --


def set_and(left: Value, right: Value) -> Value:
    return a_set(left) & a_set(right)


def set_or(left: Value, right: Value) -> Value:
    return a_set(left) | a_set(right)


def intersection(sets: Value) -> Value:
    members = [a_set(each) for each in a_set(sets)]
    return frozenset.intersection(*members) if members else frozenset()


def union(sets: Value) -> Value:
    return frozenset(item for each in a_set(sets) for item in a_set(each))


# -- objects --


def object_get(value: Value, key: Value, default: Value) -> Value:
    """The value at a key, or at an array of keys one below the other; else the default."""
    at: Value = obj(value)
    for each in key if isinstance(key, tuple) else (key,):
        below = step(at, each)
        if isinstance(below, Missing):
            return default
        at = below
    return at


def object_keys(value: Value) -> Value:
    return frozenset(obj(value))


def object_remove(value: Value, keys: Value) -> Value:
    gone = _keys(keys)
    return Object((key, each) for key, each in obj(value).items() if key not in gone)


def object_filter(value: Value, keys: Value) -> Value:
    wanted_keys = _keys(keys)
    return Object((key, each) for key, each in obj(value).items() if key in wanted_keys)


def _keys(value: Value) -> frozenset[Value]:
    return frozenset(value if isinstance(value, Object) else items(value))


def object_union(left: Value, right: Value) -> Value:
    """The right one's fields win; objects in both are united."""
    merged = dict(obj(left).items())
    for key, each in obj(right).items():
        before = merged.get(key)
        both = isinstance(before, Object) and isinstance(each, Object)
        merged[key] = object_union(before, each) if both else each
    return Object(merged)


def object_union_n(objects: Value) -> Value:
    out: Value = Object()
    for each in array(objects):
        out = object_union(out, each)
    return out


def subset(whole: Value, part: Value) -> Value:
    """Whether one is part of the other, of objects, sets, arrays (in a row), or of an array and a
    set."""
    match whole, part:
        case Object(), Object():
            return boolean(_object_subset(whole, part))
        case frozenset(), frozenset():
            return boolean(part <= whole)
        case tuple(), tuple():
            places = range(len(whole) - len(part) + 1)
            return boolean(any(whole[at : at + len(part)] == part for at in places))
        case tuple(), frozenset():
            return boolean(part <= frozenset(whole))
    raise FunctionError("both arguments object.subset must be of the same type or array and set")


def _object_subset(whole: Object, part: Object) -> bool:
    for key, each in part.items():
        member = step(whole, key)
        if isinstance(member, Missing):
            return False
        if member != each and not _inner_subset(member, each):
            return False
    return True


def _inner_subset(whole: Value, part: Value) -> bool:
    if isinstance(whole, Object) and isinstance(part, Object):
        return _object_subset(whole, part)
    if isinstance(whole, tuple | frozenset) and isinstance(part, tuple | frozenset):
        return bool(subset(whole, part)) if type(whole) is type(part) else False
    return False


# -- types --


def is_a(name: str) -> Callable[[Value], Value]:
    def check(value: Value) -> Value:
        return boolean(type_name(value) == name)

    return check


def name_of_type(value: Value) -> Value:
    return type_name(value)


def bit(calculate: Callable[[int, int], int]) -> Callable[[Value, Value], Value]:
    return lambda left, right: calculate(integer(left), integer(right))


def bit_negate(value: Value) -> Value:
    num(value)
    return ~integer(value)
