"""The types of values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal

Kind = Literal[
    "string",
    "number",
    "bool",
    "list",
    "set",
    "map",
    "object",
    "tuple",
    "dynamic",
    "bytes",
    "closure",
]
_PRIMITIVE: Final = frozenset({"string", "number", "bool"})
_COLLECTION: Final = frozenset({"list", "set", "map"})
_NO_TYPES: Final[Mapping[str, Type]] = {}


class Type:
    """A type; equal types need not be the same object. `optional` names attributes that may be
    absent."""

    __slots__ = ("attributes", "element", "elements", "kind", "optional")

    def __init__(
        self,
        kind: Kind,
        element: Type | None = None,
        attributes: Mapping[str, Type] = _NO_TYPES,
        elements: tuple[Type, ...] = (),
        optional: frozenset[str] = frozenset(),
    ) -> None:
        self.kind = kind
        self.element = element if element is not None else self
        self.attributes = attributes
        self.elements = elements
        self.optional = optional

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Type) or self.kind != other.kind:
            return False
        if self.kind in _COLLECTION:
            return self.element == other.element
        if self.kind == "object":
            return self.attributes == other.attributes and self.optional == other.optional
        return self.elements == other.elements

    def __hash__(self) -> int:
        return hash(self.kind)

    @property
    def is_primitive(self) -> bool:
        return self.kind in _PRIMITIVE

    @property
    def is_collection(self) -> bool:
        return self.kind in _COLLECTION

    def name(self, constraint: bool = False) -> str:
        """What messages call the type; as a constraint, what is dynamic is `any type`."""
        if self.kind in _COLLECTION:
            inner = self.element.name(constraint)
            if constraint and self.element.kind == "dynamic":
                inner = "any single type"
            return f"{self.kind} of {inner}"
        if self.kind == "dynamic":
            return "any type" if constraint else "dynamic"
        return self.kind

    def without_optional(self) -> Type:
        """The type that values have which were converted to this one."""
        if self.kind in _COLLECTION:
            inner = self.element.without_optional()
            return self if inner is self.element else Type(self.kind, inner)
        if self.kind == "object":
            return Type(
                "object", attributes={k: v.without_optional() for k, v in self.attributes.items()}
            )
        if self.kind == "tuple":
            return Type("tuple", elements=tuple(each.without_optional() for each in self.elements))
        return self

    @property
    def has_dynamic(self) -> bool:
        if self.kind == "dynamic":
            return True
        inner = (
            [self.element]
            if self.kind in _COLLECTION
            else [*self.attributes.values(), *self.elements]
        )
        return any(each.has_dynamic for each in inner)

    def __repr__(self) -> str:
        return f"Type({self.name()})"


STRING: Final = Type("string")
NUMBER: Final = Type("number")
BOOL: Final = Type("bool")
DYNAMIC: Final = Type("dynamic")
BYTES: Final = Type("bytes")
CLOSURE: Final = Type("closure")


def list_of(element: Type) -> Type:
    return Type("list", element)


def set_of(element: Type) -> Type:
    return Type("set", element)


def map_of(element: Type) -> Type:
    return Type("map", element)


def object_of(attributes: Mapping[str, Type], optional: frozenset[str] = frozenset()) -> Type:
    return Type("object", attributes=attributes, optional=optional)


def tuple_of(elements: Sequence[Type]) -> Type:
    return Type("tuple", elements=tuple(elements))


LIST_OF_STRING: Final = list_of(STRING)
MAP_OF_STRING: Final = map_of(STRING)
