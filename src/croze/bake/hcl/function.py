"""What a function is to the evaluator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from msgspec import Struct

from croze.bake.hcl.source import Diagnostic
from croze.bake.hcl.syntax import Expression
from croze.bake.values.types import DYNAMIC, Type
from croze.bake.values.value import Value


class CallError(Exception):
    """The call failed; the text says why."""


class ArgumentError(CallError):
    """The call failed because of one argument, which is counted from zero."""

    def __init__(self, index: int, text: str) -> None:
        super().__init__(text)
        self.index = index


class Parameter(Struct, frozen=True):
    """What a function takes at one place. An argument is converted to the type first; null and
    unknown ones are passed only if they are allowed."""

    name: str
    type: Type = DYNAMIC
    allow_null: bool = False
    allow_unknown: bool = False


class Closure(Protocol):
    """An argument that the function may evaluate, or look at as it was written."""

    @property
    def expression(self) -> Expression:
        """The argument as it was written."""

    def evaluate(self) -> tuple[Value, list[Diagnostic]]:
        """The argument's value, and the problems met on the way to it."""


Implementation = Callable[[Sequence[Value]], Value]
LazyImplementation = Callable[[Sequence[Closure]], Value]


class Function(Struct, frozen=True):
    """A function that expressions can call. Exactly one of `call` and `call_lazily` is given; both
    raise CallError or HclError."""

    parameters: tuple[Parameter, ...]
    returns: Type
    call: Implementation | None = None
    variadic: Parameter | None = None
    call_lazily: LazyImplementation | None = None

    def parameter(self, index: int) -> Parameter | None:
        """What an argument is passed as; None if there are too many."""
        return self.parameters[index] if index < len(self.parameters) else self.variadic
