"""What a template consists of. As text a node is what messages have of it.

Source: Go `text/template/parse` (node.go).
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from croze.gotypes.quote import quote


class Node(Struct, frozen=True):
    """A piece of a template; `position` counts characters from 0."""

    position: int


class Text(Node, frozen=True):
    """What is printed as it is."""

    text: str


class Dot(Node, frozen=True):
    """The value that the dot is set to."""

    def __str__(self) -> str:
        return "."


class NilWord(Node, frozen=True):
    """The word `nil`."""

    def __str__(self) -> str:
        return "nil"


class Constant(Node, frozen=True):
    """A value that is written in a template, and how it is written. `value` is None for a number
    that there is no type for."""

    written: str
    value: str | int | float | complex | None

    def __str__(self) -> str:
        return self.written


class FieldPath(Node, frozen=True):
    """`.A.B`: fields of the dot."""

    names: Sequence[str]

    def __str__(self) -> str:
        return "".join(f".{name}" for name in self.names)


class VariablePath(Node, frozen=True):
    """`$x`, and fields of it."""

    name: str
    names: Sequence[str] = ()

    def __str__(self) -> str:
        return self.name + "".join(f".{name}" for name in self.names)


class FunctionName(Node, frozen=True):
    """The name of a function."""

    name: str

    def __str__(self) -> str:
        return self.name


class FieldChain(Node, frozen=True):
    """Fields of what a function or a pipeline in parentheses gives."""

    of: Operand
    names: Sequence[str]

    def __str__(self) -> str:
        return _in_parentheses(self.of) + "".join(f".{name}" for name in self.names)


class TemplateCommand(Node, frozen=True):
    """A function or value, and what it is given."""

    operands: Sequence[Operand]

    def __str__(self) -> str:
        return " ".join(map(_in_parentheses, self.operands))


class Pipeline(Node, frozen=True):
    """Commands, each given the value of the one before. `names` take the result; `declares` tells
    `:=` from `=`."""

    commands: Sequence[TemplateCommand]
    names: Sequence[str] = ()
    declares: bool = False

    def __str__(self) -> str:
        names = ", ".join(self.names)
        declaration = f"{names} {':=' if self.declares else '='} " if names else ""
        return declaration + " | ".join(map(str, self.commands))


class TemplateBranch(Node, frozen=True):
    """`if`, `with` or `range`: what is done once, never, or for each."""

    kind: str
    pipeline: Pipeline
    body: Sequence[Node]
    otherwise: Sequence[Node]


class TemplateCall(Node, frozen=True):
    """`{{template "name" pipeline}}`."""

    name: str
    pipeline: Pipeline | None

    def __str__(self) -> str:
        value = f" {self.pipeline}" if self.pipeline is not None else ""
        return f"{{{{template {quote(self.name)}{value}}}}}"


class Jump(Node, frozen=True):
    """The action `break` or `continue`."""

    kind: str


Operand = Dot | NilWord | Constant | FieldPath | VariablePath | FunctionName | FieldChain | Pipeline


def _in_parentheses(operand: Operand) -> str:
    return f"({operand})" if isinstance(operand, Pipeline) else str(operand)
