"""Functions of sets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from croze.bake.functions.support import function, parameter
from croze.bake.hcl.function import ArgumentError, CallError, Function
from croze.bake.values.convert import ConversionError, convert
from croze.bake.values.relations import unify
from croze.bake.values.types import BOOL, DYNAMIC, set_of
from croze.bake.values.value import Value, boolean, order_key, set_value

_Keyed = Mapping[str, Value]
_ANY_SET = set_of(DYNAMIC)


def _has_element(args: Sequence[Value]) -> Value:
    collection, element = args
    if collection.type.element != element.type:
        return boolean(False)
    return boolean(any(order_key(each) == order_key(element) for each in collection.items))


def _operation(args: Sequence[Value], combine: Callable[[_Keyed, _Keyed], _Keyed]) -> Value:
    elements = [
        each.type.element for each in args if each.items or each.type.element.kind != "dynamic"
    ]
    element = unify(elements, unsafe=True) if elements else DYNAMIC
    if element is None:
        raise CallError("given sets must all have compatible element types")
    combined: _Keyed | None = None
    for index, each in enumerate(args):
        try:
            items = convert(each, set_of(element)).items
        except ConversionError as error:
            raise ArgumentError(index, str(error)) from None
        keyed = {order_key(item): item for item in items}
        combined = keyed if combined is None else combine(combined, keyed)
    return set_value((combined or {}).values(), element)


def _union(left: _Keyed, right: _Keyed) -> _Keyed:
    return {**right, **left}


def _intersection(left: _Keyed, right: _Keyed) -> _Keyed:
    return {key: each for key, each in left.items() if key in right}


def _difference(left: _Keyed, right: _Keyed) -> _Keyed:
    return {key: each for key, each in left.items() if key not in right}


def _symmetric(left: _Keyed, right: _Keyed) -> _Keyed:
    return {**_difference(left, right), **_difference(right, left)}


def _variadic(combine: Callable[[_Keyed, _Keyed], _Keyed]) -> Function:
    return function(
        lambda args: _operation(args, combine),
        parameter("first_set", _ANY_SET),
        variadic=parameter("other_sets", _ANY_SET),
    )


FUNCTIONS: Final[Mapping[str, Function]] = {
    "sethaselement": function(
        _has_element, parameter("set", _ANY_SET), parameter("elem"), returns=BOOL
    ),
    "setintersection": _variadic(_intersection),
    "setsubtract": function(
        lambda args: _operation(args, _difference),
        parameter("a", _ANY_SET),
        parameter("b", _ANY_SET),
    ),
    "setsymmetricdifference": _variadic(_symmetric),
    "setunion": _variadic(_union),
}
