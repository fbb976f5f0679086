"""How types relate: which can be converted into which, and the one type several have in common.

These are questions about types alone, answered before any value is looked at, as cty does it: that
is why messages can name both types. A conversion is safe if it succeeds for every value of the
type.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence

from croze.bake.values.types import DYNAMIC, Type, list_of, map_of, object_of, set_of, tuple_of

_Build = Callable[[Type], Type]
_COLLECTIONS: dict[str, _Build] = {"map": map_of, "list": list_of, "set": set_of}
_SAFE_PRIMITIVES = {("number", "string"), ("bool", "string")}
_UNSAFE_PRIMITIVES = {("string", "number"), ("string", "bool")}
_GENERALITY = {
    ("list", "tuple"): -1,
    ("tuple", "list"): 1,
    ("map", "object"): -1,
    ("object", "map"): 1,
    ("list", "set"): -1,
    ("tuple", "set"): -1,
    ("set", "list"): 1,
    ("set", "tuple"): 1,
}


def convertible(have: Type, want: Type, unsafe: bool) -> bool:
    """Whether values of one type can become values of the other."""
    if want.kind == "dynamic" or have == want:
        return True
    if have.kind == "dynamic":
        return unsafe
    match have.kind, want.kind:
        case ("object", "object") | ("tuple", "tuple"):
            return _structures_convertible(have, want, unsafe)
        case ("list", "set"):
            return unsafe and convertible(have.element, want.element, True)
        case ("list" | "set", "list") | ("set", "set") | ("map", "map"):
            return convertible(have.element, want.element, unsafe)
        case ("tuple", "list" | "set") | ("object", "map"):
            return common_element(have, want.element, unsafe) is not None
        case ("map", "object"):
            return unsafe and all(
                name in want.optional or convertible(have.element, each, True)
                for name, each in want.attributes.items()
            )
    pair = (have.kind, want.kind)
    return pair in _SAFE_PRIMITIVES or (unsafe and pair in _UNSAFE_PRIMITIVES)


def _structures_convertible(have: Type, want: Type, unsafe: bool) -> bool:
    if have.kind == "tuple":
        pairs = zip(have.elements, want.elements, strict=False)
        return len(have.elements) == len(want.elements) and all(
            convertible(inner, outer, unsafe) for inner, outer in pairs
        )
    return all(
        convertible(have.attributes[name], each, unsafe)
        if name in have.attributes
        else name in want.optional
        for name, each in want.attributes.items()
    )


def common_element(have: Type, element: Type, unsafe: bool) -> Type | None:
    """The element type of the collection that a structure of this type becomes; None if there is
    none."""
    parts = [*have.attributes.values(), *have.elements]
    if not parts:
        return element
    if element.kind == "dynamic":
        unified = unify(parts, unsafe)
        if unified is None:
            return None
        element = unified
        if (
            element.kind == "dynamic"
            and have.kind == "tuple"
            and any(each.kind != "dynamic" for each in parts)
        ):
            return None
    return element if all(convertible(each, element, unsafe) for each in parts) else None


def unify(types: Sequence[Type], unsafe: bool) -> Type | None:
    """The type that values of all these types can become; None if there is none."""
    if not types:
        return None
    kinds: Counter[str] = Counter(each.kind for each in types)
    dynamic, total = kinds["dynamic"], len(types)
    for kind, loose in (("map", "object"), ("list", "tuple"), ("set", "")):
        if kinds[kind] and kinds[kind] + dynamic == total:
            return DYNAMIC if dynamic else _unify_collections(_COLLECTIONS[kind], types, unsafe)
        if loose and kinds[kind] and kinds[kind] + kinds[loose] + dynamic == total:
            unified = _structures_as(kind, types, unsafe)
            if unified is not None:
                return unified
    for kind, unify_structures in (("object", _unify_objects), ("tuple", _unify_tuples)):
        if kinds[kind] and kinds[kind] + dynamic == total:
            return DYNAMIC if dynamic else unify_structures(types, unsafe)
    if kinds["object"] and kinds["tuple"]:
        return None
    candidates = (types[index] for index in _most_general_first(types))
    return next((each for each in candidates if _all_become(types, each, unsafe)), None)


def _all_become(types: Sequence[Type], want: Type, unsafe: bool) -> bool:
    return all(convertible(each, want, unsafe) for each in types)


def _unify_collections(build: _Build, types: Sequence[Type], unsafe: bool) -> Type | None:
    element = unify([each.element for each in types], unsafe)
    if element is None:
        return None
    unified = build(element)
    return unified if _all_become(types, unified, unsafe) else None


def _structures_as(kind: str, types: Sequence[Type], unsafe: bool) -> Type | None:
    """Objects beside maps become maps, tuples beside lists become lists."""
    loose = [each for each in types if each.kind in ("object", "tuple")]
    result = _as_collection(kind, loose, unsafe)
    if result is None:
        return None
    unified = unify(
        [result if each.kind in ("object", "tuple") else each for each in types], unsafe
    )
    return unified if unified is not None and unified.kind == kind else None


def _as_collection(kind: str, types: Sequence[Type], unsafe: bool) -> Type | None:
    element = unify(
        [part for each in types for part in (*each.attributes.values(), *each.elements)], unsafe
    )
    if element is None:
        return None
    unified = _COLLECTIONS[kind](element)
    return unified if _all_become(types, unified, unsafe) else None


def _unify_objects(types: Sequence[Type], unsafe: bool) -> Type | None:
    names = types[0].attributes.keys()
    if any(each.attributes.keys() != names for each in types[1:]):
        return _as_collection("map", types, unsafe)
    attributes: dict[str, Type] = {}
    for name in names:
        result = unify([each.attributes[name] for each in types], unsafe)
        if result is None:
            return None
        attributes[name] = result
    unified = object_of(attributes)
    return unified if _all_become(types, unified, unsafe) else _as_collection("map", types, unsafe)


def _unify_tuples(types: Sequence[Type], unsafe: bool) -> Type | None:
    size = len(types[0].elements)
    if any(len(each.elements) != size for each in types[1:]):
        return _as_collection("list", types, unsafe)
    elements: list[Type] = []
    for index in range(size):
        result = unify([each.elements[index] for each in types], unsafe)
        if result is None:
            return None
        elements.append(result)
    unified = tuple_of(elements)
    return unified if _all_become(types, unified, unsafe) else _as_collection("list", types, unsafe)


def _most_general_first(types: Sequence[Type]) -> list[int]:
    """Indexes in an order in which a type comes before those that can safely become it."""
    different: list[int] = []
    for index, each in enumerate(types):
        if all(types[other] != each for other in different):
            different.append(index)
    followers: dict[int, list[int]] = {index: [] for index in different}
    waiting = dict.fromkeys(different, 0)
    for at, left in enumerate(different):
        for right in different[at + 1 :]:
            order = _compare(types[left], types[right])
            if order:
                first, second = (left, right) if order < 0 else (right, left)
                followers[first].append(second)
                waiting[second] += 1
    queue = deque(index for index in different if not waiting[index])
    ordered: list[int] = []
    while queue:
        ordered.append(queue.popleft())
        for follower in followers[ordered[-1]]:
            waiting[follower] -= 1
            if not waiting[follower]:
                queue.append(follower)
    return ordered


def _compare(a: Type, b: Type) -> int:
    """Negative if `a` is the more general type, positive if `b` is; the dynamic type is the last
    resort."""
    if a.kind == "dynamic" or b.kind == "dynamic":
        return (a.kind == "dynamic") - (b.kind == "dynamic")
    if a.is_primitive and b.is_primitive:
        return (b.kind == "string") - (a.kind == "string")
    if a.kind == b.kind and a.is_collection:
        return _compare(a.element, b.element)
    if a.kind == b.kind == "object" and a.attributes.keys() == b.attributes.keys():
        return _combined(
            [_compare(a.attributes[name], b.attributes[name]) for name in a.attributes]
        )
    if a.kind == b.kind == "tuple" and len(a.elements) == len(b.elements):
        return _combined([_compare(x, y) for x, y in zip(a.elements, b.elements, strict=True)])
    return _GENERALITY.get((a.kind, b.kind), 0)


def _combined(orders: list[int]) -> int:
    left, right = any(each < 0 for each in orders), any(each > 0 for each in orders)
    return 0 if left == right else (-1 if left else 1)
