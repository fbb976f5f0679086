"""The syntax tree of native HCL: plain data; `evaluate` gives it meaning."""

from __future__ import annotations

from typing import Protocol

import msgspec

from croze.bake.hcl.source import Diagnostic, SourceRange
from croze.bake.values.value import Value


class Expression(Protocol):
    """Anything that has a value. Messages about the value point at `start_range`."""

    @property
    def range(self) -> SourceRange:
        """Where the whole expression stands."""

    @property
    def start_range(self) -> SourceRange:
        """Where its first part stands."""


class _HasRange(Protocol):
    @property
    def range(self) -> SourceRange: ...


class _HasOpenRange(Protocol):
    @property
    def open_range(self) -> SourceRange: ...


class Whole(msgspec.Struct):
    """An expression of which messages point at all, unless a kind says otherwise."""

    @property
    def start_range(self: _HasRange) -> SourceRange:
        return self.range


class Opened(msgspec.Struct):
    """An expression that begins with a bracket of its own: messages point at that."""

    @property
    def start_range(self: _HasOpenRange) -> SourceRange:
        return self.open_range


class Attr(msgspec.Struct):
    """A step `.name` behind an expression."""

    name: str
    range: SourceRange


class LiteralIndex(msgspec.Struct):
    """A step `[key]` with a literal key, or `.0`, behind an expression."""

    key: Value
    range: SourceRange


Step = Attr | LiteralIndex


class Literal(Whole):
    value: Value
    range: SourceRange


class Variable(Whole):
    """A name and the literal steps behind it."""

    name: str
    name_range: SourceRange
    range: SourceRange
    steps: list[Step] = msgspec.field(default_factory=list)


class Relative(Whole):
    """An expression with literal steps behind it."""

    source: Expression
    steps: list[Step]
    range: SourceRange


class Lookup(Opened):
    """An index that is computed: `collection[key]`."""

    collection: Expression
    key: Expression
    range: SourceRange
    open_range: SourceRange
    bracket_range: SourceRange


class FunctionCall(Whole):
    name: str
    args: list[Expression]
    expand_last: bool
    name_range: SourceRange
    open_range: SourceRange
    close_range: SourceRange

    @property
    def range(self) -> SourceRange:
        return self.name_range.to(self.close_range)

    @property
    def start_range(self) -> SourceRange:
        return self.name_range.to(self.open_range)

    @property
    def args_range(self) -> SourceRange:
        return self.open_range.to(self.close_range)


class Conditional(Whole):
    condition: Expression
    when_true: Expression
    when_false: Expression
    range: SourceRange

    @property
    def start_range(self) -> SourceRange:
        return self.condition.start_range


class Tuple(Opened):
    items: list[Expression]
    range: SourceRange
    open_range: SourceRange


class ObjectKey(Whole):
    """A key of an object: a bare name is a string there, unless in parentheses."""

    wrapped: Expression
    computed: bool

    @property
    def range(self) -> SourceRange:
        return self.wrapped.range

    @property
    def start_range(self) -> SourceRange:
        return self.wrapped.start_range


class ObjectExpression(Opened):
    items: list[tuple[ObjectKey, Expression]]
    range: SourceRange
    open_range: SourceRange


class For(Opened):
    """A `for` expression: an object if there is a key, else a tuple."""

    key_name: str
    value_name: str
    collection: Expression
    key: Expression | None
    value: Expression
    condition: Expression | None
    group: bool
    range: SourceRange
    open_range: SourceRange


class SplatItem(Whole, eq=False):
    """What a splat stands for while it looks at one element."""

    range: SourceRange


class Splat(Whole):
    source: Expression
    each: Expression
    item: SplatItem
    range: SourceRange
    marker_range: SourceRange

    @property
    def start_range(self) -> SourceRange:
        return self.marker_range


class Parentheses(Whole):
    inner: Expression
    range: SourceRange

    @property
    def start_range(self) -> SourceRange:
        return self.inner.start_range


class Binary(Whole):
    operator: str
    left: Expression
    right: Expression

    @property
    def range(self) -> SourceRange:
        return _leftmost(self).range.to(self.right.range)

    @property
    def start_range(self) -> SourceRange:
        return _leftmost(self).start_range


class Unary(Whole):
    operator: str
    operand: Expression
    range: SourceRange
    symbol_range: SourceRange

    @property
    def start_range(self) -> SourceRange:
        return self.symbol_range


class Template(Whole):
    parts: list[Expression]
    range: SourceRange

    @property
    def start_range(self) -> SourceRange:
        return self.parts[0].start_range

    @property
    def is_literal(self) -> bool:
        return len(self.parts) == 1 and isinstance(self.parts[0], Literal)


class Join(Whole):
    """The texts a `%{for}` gives, one behind the other."""

    loop: For

    @property
    def range(self) -> SourceRange:
        return self.loop.range

    @property
    def start_range(self) -> SourceRange:
        return self.loop.start_range


class Wrapped(Whole):
    """A template that is one interpolation and nothing else: it keeps the type."""

    inner: Expression
    range: SourceRange


class Broken(Whole):
    """What stands where there was a syntax error."""

    problems: list[Diagnostic]
    range: SourceRange


class Attribute(msgspec.Struct):
    name: str
    expression: Expression
    range: SourceRange
    name_range: SourceRange


class Block(msgspec.Struct):
    type: str
    labels: list[str]
    body: Body
    type_range: SourceRange
    label_ranges: list[SourceRange]
    open_range: SourceRange

    @property
    def definition_range(self) -> SourceRange:
        """The block's header: its type and labels."""
        return self.type_range.to(self.label_ranges[-1] if self.label_ranges else self.type_range)


class Body(msgspec.Struct):
    attributes: dict[str, Attribute]
    blocks: list[Block]
    range: SourceRange

    @property
    def missing_range(self) -> SourceRange:
        """The place that messages give for something that is missing."""
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
