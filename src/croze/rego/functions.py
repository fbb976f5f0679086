"""What built-in functions are: the contract between the evaluator and those who lend functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from msgspec import Struct, field

from croze.rego.errors import Location
from croze.rego.values import Value


class Undefined(Struct, frozen=True):
    """A function has no value for its arguments, and that is no error."""


UNDEFINED = Undefined()


class RegoSurroundings(Struct):
    """What an evaluation sees of the world; the same for its whole length."""

    now_ns: int = 0
    on_print: Callable[[Location, str], None] | None = None
    random: Callable[[int], int] = lambda _: 0
    """A number below another."""
    memory: dict[object, Value] = field(default_factory=dict)
    """For functions that give the same answer to the same question."""


Implementation: TypeAlias = "Callable[..., Value | Undefined]"


class RegoFunction(Struct, frozen=True):
    """Called with `RegoSurroundings`, if it wants them, and the arguments. Raises `FunctionError`
    when it has no value; the expression is undefined then."""

    arity: int
    call: Implementation
    wants_surroundings: bool = False


Functions: TypeAlias = Mapping[str, RegoFunction]
