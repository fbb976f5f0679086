"""The syntax tree of native HCL: plain data; `evaluate` gives it meaning."""

from __future__ import annotations

from typing import Protocol

import msgspec

from croze.bake.hcl.source import Diagnostic, Range
from croze.bake.values.value import Value


class Expression(Protocol):
    """Anything that has a value. Messages about the value point at `start_range`."""

    @property
    def range(self) -> Range: ...

    @property
    def start_range(self) -> Range: ...


class _HasRange(Protocol):
    @property
    def range(self) -> Range: ...


class _HasOpenRange(Protocol):
    @property
    def open_range(self) -> Range: ...


class Whole(msgspec.Struct):
    """Messages point at all of it, unless a kind says otherwise."""

    @property
    def start_range(self: _HasRange) -> Range:
        return self.range


class Opened(msgspec.Struct):
    """What begins with a bracket of its own: messages point at that."""

    @property
    def start_range(self: _HasOpenRange) -> Range:
        return self.open_range


class Attr(msgspec.Struct):
    """`.name`"""

    name: str
    range: Range


class Index(msgspec.Struct):
    """`[key]` with a literal key, or `.0`"""

    key: Value
    range: Range


Step = Attr | Index


class Literal(Whole):
    value: Value
    range: Range


class Variable(Whole):
    """A name and the literal steps behind it."""

    name: str
    name_range: Range
    range: Range
    steps: list[Step] = msgspec.field(default_factory=list)


class Relative(Whole):
    """Literal steps behind an expression."""

    source: Expression
    steps: list[Step]
    range: Range


class Lookup(Opened):
    """`collection[key]` with a key that is computed."""

    collection: Expression
    key: Expression
    range: Range
    open_range: Range
    bracket_range: Range


class Call(Whole):
    name: str
    args: list[Expression]
    expand_last: bool
    name_range: Range
    open_range: Range
    close_range: Range

    @property
    def range(self) -> Range:
        return self.name_range.to(self.close_range)

    @property
    def start_range(self) -> Range:
        return self.name_range.to(self.open_range)

    @property
    def args_range(self) -> Range:
        return self.open_range.to(self.close_range)


class Conditional(Whole):
    condition: Expression
    when_true: Expression
    when_false: Expression
    range: Range

    @property
    def start_range(self) -> Range:
        return self.condition.start_range


class Tuple(Opened):
    items: list[Expression]
    range: Range
    open_range: Range


class ObjectKey(Whole):
    """A key of an object: a bare name is a string there, unless in parentheses."""

    wrapped: Expression
    computed: bool

    @property
    def range(self) -> Range:
        return self.wrapped.range

    @property
    def start_range(self) -> Range:
        return self.wrapped.start_range


class Object(Opened):
    items: list[tuple[ObjectKey, Expression]]
    range: Range
    open_range: Range


class For(Opened):
    """Makes an object if there is a key, else a tuple."""

    key_name: str
    value_name: str
    collection: Expression
    key: Expression | None
    value: Expression
    condition: Expression | None
    group: bool
    range: Range
    open_range: Range


class Item(Whole, eq=False):
    """What a splat stands for while it looks at one element."""

    range: Range


class Splat(Whole):
    source: Expression
    each: Expression
    item: Item
    range: Range
    marker_range: Range

    @property
    def start_range(self) -> Range:
        return self.marker_range


class Parentheses(Whole):
    inner: Expression
    range: Range

    @property
    def start_range(self) -> Range:
        return self.inner.start_range


class Binary(Whole):
    operator: str
    left: Expression
    right: Expression

    @property
    def range(self) -> Range:
        return _leftmost(self).range.to(self.right.range)

    @property
    def start_range(self) -> Range:
        return _leftmost(self).start_range


class Unary(Whole):
    operator: str
    operand: Expression
    range: Range
    symbol_range: Range

    @property
    def start_range(self) -> Range:
        return self.symbol_range


class Template(Whole):
    parts: list[Expression]
    range: Range

    @property
    def start_range(self) -> Range:
        return self.parts[0].start_range

    @property
    def is_literal(self) -> bool:
        return len(self.parts) == 1 and isinstance(self.parts[0], Literal)


class Join(Whole):
    """The texts a `%{for}` gives, one behind the other."""

    loop: For

    @property
    def range(self) -> Range:
        return self.loop.range

    @property
    def start_range(self) -> Range:
        return self.loop.start_range


class Wrapped(Whole):
    """A template that is one interpolation and nothing else: it keeps the type."""

    inner: Expression
    range: Range


class Broken(Whole):
    """What stands where there was a syntax error."""

    problems: list[Diagnostic]
    range: Range


class Attribute(msgspec.Struct):
    name: str
    expression: Expression
    range: Range
    name_range: Range


class Block(msgspec.Struct):
    type: str
    labels: list[str]
    body: Body
    type_range: Range
    label_ranges: list[Range]
    open_range: Range

    @property
    def definition_range(self) -> Range:
        """The block's header: its type and labels."""
        return self.type_range.to(self.label_ranges[-1] if self.label_ranges else self.type_range)


class Body(msgspec.Struct):
    attributes: dict[str, Attribute]
    blocks: list[Block]
    range: Range

    @property
    def missing_range(self) -> Range:
        """Where messages say that something is missing."""
        return self.range.at_start()


def _leftmost(expression: Binary) -> Expression:
    operand: Expression = expression
    while isinstance(operand, Binary):
        operand = operand.left
    return operand


def keyword(expression: Expression) -> str:
    """The name that an expression is, if it is nothing but a name."""
    if isinstance(expression, ObjectKey):
        return "" if expression.computed else keyword(expression.wrapped)
    if isinstance(expression, Literal):
        raw = expression.value.raw
        if raw is None:
            return "null"
        return ("true" if raw else "false") if isinstance(raw, bool) else ""
    return expression.name if isinstance(expression, Variable) and not expression.steps else ""
