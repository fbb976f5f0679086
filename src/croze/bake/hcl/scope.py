"""The names an expression can use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping

from croze.bake.hcl.function import Function
from croze.bake.hcl.syntax import SplatItem
from croze.bake.values.value import Value


class Scope:
    """Variables and functions, over those of an outer scope.

    In a constant scope there are none, and messages say so.
    """

    __slots__ = ("constant", "functions", "items", "parent", "variables")

    def __init__(
        self,
        variables: MutableMapping[str, Value],
        functions: Mapping[str, Function] | None = None,
        parent: Scope | None = None,
        constant: bool = False,
    ) -> None:
        self.variables = variables
        self.functions = functions
        self.parent = parent
        self.constant = constant
        self.items: dict[SplatItem, Value] = {}

    def child(self, variables: MutableMapping[str, Value]) -> Scope:
        return Scope(variables, None, self)

    def chain(self) -> Iterator[Scope]:
        scope: Scope | None = self
        while scope is not None:
            yield scope
            scope = scope.parent

    def variable(self, name: str) -> Value | None:
        for scope in self.chain():
            if name in scope.variables:
                return scope.variables[name]
        return None

    def function(self, name: str) -> Function | None:
        for scope in self.chain():
            if scope.functions is not None and name in scope.functions:
                return scope.functions[name]
        return None

    def variable_names(self) -> list[str]:
        """All names from the inside out, as suggestions are made from them."""
        return [name for scope in self.chain() for name in sorted(scope.variables)]

    def function_names(self) -> list[str]:
        """Names of the innermost scope alone: what suggestions are made from."""
        return sorted(self.functions or ())
