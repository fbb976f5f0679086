"""Functions of lists and maps."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Final

from croze.bake.functions.support import amount, function, parameter, text, whole
from croze.bake.hcl.function import ArgumentError, CallError, Function
from croze.bake.values.convert import ConversionError, convert
from croze.bake.values.relations import unify
from croze.bake.values.types import (
    BOOL,
    DYNAMIC,
    LIST_OF_STRING,
    NUMBER,
    STRING,
    Type,
    list_of,
    tuple_of,
)
from croze.bake.values.value import (
    FALSE,
    TRUE,
    Value,
    boolean,
    equals,
    integer,
    list_value,
    map_value,
    object_value,
    order_key,
    set_value,
    string,
    tuple_value,
    unknown_of,
)
from croze.gotypes.quote import quote

_MOST_COMBINATIONS: Final = 1_000_000


def _like(collection: Value, items: Sequence[Value]) -> Value:
    """The items in a sequence of the kind that they came from; what was a set is a list."""
    if collection.kind == "tuple":
        return tuple_value(items)
    return list_value(items, collection.type.element)


def _has(collection: Value, key: Value) -> bool:
    if collection.kind == "map":
        return key.kind == "string" and key.is_known and key.text in collection.fields
    if key.kind != "number" or not key.is_known or not key.number.is_whole:
        return False
    return 0 <= key.number.truncated() < len(collection.items)


def _has_index(args: Sequence[Value]) -> Value:
    if args[0].kind not in ("list", "tuple", "map"):
        raise CallError("collection must be a list, a map or a tuple")
    return boolean(_has(args[0], args[1]))


def _index(args: Sequence[Value]) -> Value:
    collection, key = args
    if collection.kind not in ("list", "tuple", "map"):
        raise CallError("collection must be a list, a map or a tuple")
    kind = "string" if collection.kind == "map" else "number"
    if key.kind != kind:
        raise CallError(f"key for {collection.kind} must be {kind}")
    if collection.kind == "tuple":
        try:
            at = whole(key)
        except CallError as error:
            raise CallError(f"invalid key for tuple: {error}") from None
        if not 0 <= at < len(collection.items):
            raise CallError(f"key must be between 0 and {len(collection.items)} inclusive")
    if not _has(collection, key):
        raise CallError("invalid index")
    if collection.kind == "map":
        return collection.fields[key.text]
    return collection.items[key.number.truncated()]


def _index_of(args: Sequence[Value]) -> Value:
    collection, element = args
    if collection.kind not in ("list", "tuple"):
        raise CallError("argument must be a list or tuple")
    if not collection.items:
        raise CallError("cannot search an empty list")
    for index, each in enumerate(collection.items):
        if equals(each, element):
            return integer(index)
    raise CallError("item not found")


def _length(args: Sequence[Value]) -> Value:
    collection = args[0]
    if collection.kind == "dynamic":
        return unknown_of(NUMBER)
    if collection.kind not in ("tuple", "list", "map", "set"):
        raise CallError("collection must be a list, a map or a tuple")
    if not collection.is_known:
        return unknown_of(NUMBER)
    return integer(len(collection.fields) if collection.kind == "map" else len(collection.items))


def _element(args: Sequence[Value]) -> Value:
    collection = args[0]
    if collection.kind not in ("list", "tuple"):
        raise CallError(f"cannot read elements from {collection.type.name()}")
    try:
        at = whole(args[1])
    except CallError as error:
        raise CallError(f"invalid index: {error}") from None
    if not collection.items:
        raise CallError("cannot use element function with an empty list")
    return collection.items[at % len(collection.items)]


def _coalesce(args: Sequence[Value]) -> Value:
    common = unify([each.type for each in args], unsafe=True)
    if common is None:
        raise CallError("all arguments must have the same type")
    for each in args:
        if not each.is_known:
            return unknown_of(common)
        if not each.is_null:
            try:
                return convert(each, common)
            except ConversionError as error:
                raise CallError(str(error)) from None
    raise CallError("no non-null arguments")


def _coalesce_list(args: Sequence[Value]) -> Value:
    if not args:
        raise CallError("at least one argument is required")
    for each in args:
        if not each.is_known:
            return unknown_of(DYNAMIC)
        if each.kind not in ("list", "tuple"):
            raise CallError("coalescelist arguments must be lists or tuples")
    for each in args:
        if each.items:
            return each
    raise CallError("no non-null arguments")


def _compact(args: Sequence[Value]) -> Value:
    return list_value([each for each in args[0].items if each.raw], STRING)


def _contains(args: Sequence[Value]) -> Value:
    collection, element = args
    if not collection.is_sequence:
        raise CallError("argument must be list, tuple, or set")
    return TRUE if any(equals(element, each) for each in collection.items) else FALSE


def _concat(args: Sequence[Value]) -> Value:
    if not args:
        raise CallError("at least one argument is required")
    if all(each.kind == "list" for each in args):
        common = unify([each.type for each in args], unsafe=True)
        if common is not None:
            return list_value(_converted(args, common), common.element)
    for index, each in enumerate(args):
        if each.kind not in ("list", "tuple"):
            kind = each.type.name()
            raise ArgumentError(index, f"all arguments must be lists or tuples; got {kind}")
    return tuple_value(item for each in args for item in each.items)


def _converted(args: Sequence[Value], common: Type) -> list[Value]:
    items: list[Value] = []
    for index, each in enumerate(args):
        try:
            items.extend(convert(each, common).items)
        except ConversionError as error:
            raise ArgumentError(index, str(error)) from None
    return items


def _distinct(args: Sequence[Value]) -> Value:
    distinct: list[Value] = []
    seen: set[str] = set()
    for each in args[0].items:
        key = order_key(each)
        if key not in seen:
            seen.add(key)
            distinct.append(each)
    return list_value(distinct, args[0].type.element)


def _chunk_list(args: Sequence[Value]) -> Value:
    collection = args[0]
    try:
        size = whole(args[1])
    except CallError as error:
        raise CallError(f"invalid size: {error}") from None
    if size < 0:
        raise CallError("the size argument must be positive")
    items = collection.items
    if not items:
        return list_value([], collection.type)
    step = size or len(items)
    chunks = [items[at : at + step] for at in range(0, len(items), step)]
    return list_value(
        [list_value(each, collection.type.element) for each in chunks], collection.type
    )


def _flatten(args: Sequence[Value]) -> Value:
    if not args[0].is_sequence:
        raise CallError("can only flatten lists, sets and tuples")
    out: list[Value] = []
    waiting = list(reversed(args[0].items))
    while waiting:
        each = waiting.pop()
        if each.is_sequence and not each.is_null and each.is_known:
            waiting.extend(reversed(each.items))
        else:
            out.append(each)
    return tuple_value(out)


def _keys(args: Sequence[Value]) -> Value:
    mapping = args[0]
    if not mapping.is_mapping:
        raise ArgumentError(0, "must have map or object type")
    names = [string(name) for name in sorted(mapping.fields)]
    return tuple_value(names) if mapping.kind == "object" else list_value(names, STRING)


def _values(args: Sequence[Value]) -> Value:
    mapping = args[0]
    if not mapping.is_mapping:
        raise CallError("values() requires a map as the first argument")
    if mapping.kind == "object":
        return tuple_value(mapping.values)
    return list_value(mapping.values, mapping.type.element)


def _lookup(args: Sequence[Value]) -> Value:
    mapping, key, default = args
    if not mapping.is_mapping:
        raise ArgumentError(0, "lookup() requires a map as the first argument")
    if mapping.kind == "map":
        try:
            default = convert(default, mapping.type.element)
        except ConversionError:
            detail = "the default value must have the same type as the map elements"
            raise ArgumentError(2, detail) from None
    return mapping.fields.get(key.text, default)


def _merge(args: Sequence[Value]) -> Value:
    for each in args:
        if not (each.is_mapping or each.kind == "dynamic"):
            name = quote(each.type.name())
            raise CallError(f"arguments must be maps or objects, got {name}")
    merged: dict[str, Value] = {}
    for each in args:
        merged.update(each.fields)
    if args and all(each.kind == "map" and each.type == args[0].type for each in args):
        return map_value(merged, args[0].type.element)
    return object_value(merged)


def _reverse_list(args: Sequence[Value]) -> Value:
    collection = args[0]
    if not collection.is_sequence:
        name = collection.type.name()
        raise ArgumentError(0, f"can only reverse list or tuple values, not {name}")
    return _like(collection, collection.items[::-1])


def _product_elements(index: int, collection: Value) -> tuple[Sequence[Value], Type]:
    """What one argument of `setproduct` contributes, and of which type."""
    if collection.kind in ("set", "list"):
        return collection.items, collection.type.element
    if collection.kind != "tuple":
        raise ArgumentError(index, "a set or a list is required")
    if not collection.items:
        return (), DYNAMIC
    common = unify([each.type for each in collection.items], unsafe=True)
    if common is None:
        raise ArgumentError(index, "all elements must be of the same type")
    return [convert(each, common) for each in collection.items], common


def _set_product(args: Sequence[Value]) -> Value:
    if len(args) < 2:
        raise CallError("at least two arguments are required")
    sides = [_product_elements(index, each) for index, each in enumerate(args)]
    total = math.prod(len(items) for items, _ in sides)
    if total > _MOST_COMBINATIONS:
        raise CallError("the product has too many elements")
    element = tuple_of([each for _, each in sides])
    rows = [tuple_value(row) for row in itertools.product(*(items for items, _ in sides))]
    build = set_value if any(each.kind == "set" for each in args) else list_value
    return build(rows, element)


def _bound(value: Value, index: int, name: str, length: int) -> int:
    try:
        at = whole(value)
    except CallError as error:
        raise ArgumentError(index, f"invalid {name} index: {error}") from None
    if at < 0:
        raise ArgumentError(index, f"{name} index must not be less than zero")
    if at > length:
        detail = f"{name} index must not be greater than the length of the list"
        raise ArgumentError(index, detail)
    return at


def _slice(args: Sequence[Value]) -> Value:
    collection = args[0]
    if collection.kind == "set":
        raise ArgumentError(
            0,
            "cannot slice a set, because its elements do not have indices; "
            "explicitly convert to a list "
            "if the ordering of the result is not important",
        )
    if collection.kind not in ("list", "tuple"):
        raise ArgumentError(0, "must be a list or tuple value")
    start = _bound(args[1], 1, "start", len(collection.items))
    end = _bound(args[2], 2, "end", len(collection.items))
    if start > end:
        raise ArgumentError(1, "start index must not be greater than end index")
    return _like(collection, collection.items[start:end])


def _zipmap(args: Sequence[Value]) -> Value:
    keys, values = args
    if values.kind not in ("list", "tuple"):
        raise CallError("values argument must be a list or tuple value")
    if len(keys.items) != len(values.items):
        counts = f"({len(keys.items)}) does not match number of values ({len(values.items)})"
        raise CallError(f"number of keys {counts}")
    for index, each in enumerate(keys.items):
        if each.is_null:
            raise CallError(f"keys list has null value at index {index}")
    fields = {key.text: value for key, value in zip(keys.items, values.items, strict=True)}
    return (
        object_value(fields) if values.kind == "tuple" else map_value(fields, values.type.element)
    )


_LIST = parameter("list")
_ANY_LIST = parameter("list", list_of(DYNAMIC))

FUNCTIONS: Final[Mapping[str, Function]] = {
    "chunklist": function(_chunk_list, _ANY_LIST, amount("size")),
    "coalesce": function(_coalesce, variadic=parameter("vals", null=True, unknown=True)),
    "coalescelist": function(_coalesce_list, variadic=parameter("vals", null=True, unknown=True)),
    "compact": function(_compact, parameter("list", LIST_OF_STRING), returns=LIST_OF_STRING),
    "concat": function(_concat, variadic=parameter("seqs")),
    "contains": function(_contains, _LIST, parameter("value"), returns=BOOL),
    "distinct": function(_distinct, _ANY_LIST),
    "element": function(_element, _LIST, amount("index")),
    "flatten": function(_flatten, _LIST),
    "hasindex": function(_has_index, parameter("collection"), parameter("key"), returns=BOOL),
    "index": function(_index, parameter("collection"), parameter("key")),
    "indexof": function(_index_of, _LIST, parameter("value"), returns=NUMBER),
    "keys": function(_keys, parameter("inputMap")),
    "length": function(_length, parameter("collection", unknown=True), returns=NUMBER),
    "lookup": function(_lookup, parameter("inputMap"), text("key"), parameter("default")),
    "merge": function(_merge, variadic=parameter("maps", null=True)),
    "reverselist": function(_reverse_list, _LIST),
    "setproduct": function(_set_product, variadic=parameter("sets")),
    "slice": function(_slice, _LIST, amount("start_index"), amount("end_index")),
    "values": function(_values, parameter("mapping")),
    "zipmap": function(_zipmap, parameter("keys", LIST_OF_STRING), parameter("values")),
}
