"""What is known of names: variables of bodies, documents below `data`, functions."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field

from croze.rego.check import signatures
from croze.rego.check.types import (
    ANY,
    STRING,
    FunctionType,
    MaybeType,
    Type,
    bounded,
    object_type,
)
from croze.rego.tree import RuleNode


class CheckContext(Struct):
    """What is known while rules are checked, the same for all of them."""

    root: RuleNode
    lent: Mapping[str, FunctionType]
    """Built-in functions beside the library's."""
    documents: dict[RuleNode, Type] = field(default_factory=dict)
    """The types of the places where rules stand and that have been looked at."""

    def document(self, node: RuleNode) -> Type:
        """The type of all that stands at a place and below it."""
        if node.rules:
            return self.documents.get(node, ANY)
        fields = ((name, self.document(child)) for name, child in node.children.items())
        return object_type(fields, (STRING, ANY))

    def function(self, name: str) -> FunctionType | None:
        """The type of a function; None if there is none, or nothing is known of it."""
        if not name.startswith("data."):
            return self.builtin(name)
        node = self.root.find(tuple(name.split(".")[1:]))
        type = self.documents.get(node) if node is not None else None
        return type if isinstance(type, FunctionType) else None

    def builtin(self, name: str) -> FunctionType | None:
        return self.lent.get(name) or signatures.builtin(name)

    def arity(self, name: str) -> int:
        """How many arguments a function takes; -1 if there is none, or any number."""
        if not name.startswith("data."):
            builtin = self.builtin(name)
            return -1 if builtin is None else len(builtin.args)
        node = self.root.find(tuple(name.split(".")[1:]))
        args = node.rules[0].args if node is not None and node.rules else None
        return -1 if args is None else len(args)


class BodyScope:
    """The variables of a body and of those around it."""

    def __init__(self, outer: BodyScope | None = None) -> None:
        self._outer = outer
        self._types: dict[str, Type] = {}

    def get(self, name: str) -> MaybeType:
        if name in self._types:
            return self._types[name]
        return self._outer.get(name) if self._outer is not None else None

    def put(self, name: str, type_: MaybeType) -> None:
        small = bounded(type_)
        if small is not None:
            self._types[name] = small
