"""Parsing what follows an expression: attributes, indexes and splats."""

from __future__ import annotations

from abc import abstractmethod

from croze.bake.hcl import tokens as t
from croze.bake.hcl.constructors import ConstructorParser
from croze.bake.hcl.source import SourceRange
from croze.bake.hcl.syntax import (
    Attr,
    Broken,
    Expression,
    Literal,
    LiteralIndex,
    Lookup,
    Relative,
    Splat,
    SplatItem,
    Step,
    Template,
    Variable,
)
from croze.bake.hcl.tokens import HclToken
from croze.bake.values.value import DYNAMIC_VALUE

# Chains of computed indexes and splats nest; literal steps do not.
_LONGEST_CHAIN = 60
_LEGACY = (
    "When using the legacy index syntax, chaining two indexes together is not permitted. "
    "Use the proper index syntax{0}like [{1}][{2}]."
)
_NAME_AFTER_DOT = "An attribute name is required after a dot."


class TraversalParser(ConstructorParser):
    """The part of the parser that knows `.name`, `[key]` and `[*]`."""

    @abstractmethod
    def number_literal(self, token: HclToken) -> Literal: ...

    def parse_traversals(self, origin: Expression) -> Expression:
        """The expression with all the steps behind it."""
        parsed = origin
        levels = 0
        while (kind := self.ahead.kind) in (".", "["):
            before = parsed
            parsed = self._dot(origin, parsed) if kind == "." else self._bracket(origin, parsed)
            if parsed is not before:
                levels += 1
                if levels > _LONGEST_CHAIN:
                    self.too_deep()
        return parsed

    def _dot(self, origin: Expression, source: Expression) -> Expression:
        dot = self.read()
        token = self.ahead
        if token.kind == t.IDENT:
            self.read()
            return _step(source, Attr(token.text, dot.range.to(token.range)))
        if token.kind == t.NUMBER:
            self.read()
            return _step(source, self._legacy_index(dot, token, token, " instead, "))
        if token.kind == "*":
            return self._attribute_splat(origin, source, dot)
        self.error("Invalid attribute name", _NAME_AFTER_DOT, token.range)
        self.recovering = True
        return Broken(self.problems[-1:], origin.range.to(dot.range))

    def _legacy_index(
        self, dot: HclToken, token: HclToken, subject: HclToken, hint: str
    ) -> LiteralIndex:
        """`.0`, an index in the clothes of an attribute."""
        span = dot.range.to(token.range)
        if "." in token.text:
            first, _, second = token.text.partition(".")
            detail = _LEGACY.format(hint, first, second)
            self.error("Invalid legacy index syntax", detail, subject.range)
            return LiteralIndex(DYNAMIC_VALUE, span)
        return LiteralIndex(self.number_literal(token).value, span)

    def _attribute_splat(self, origin: Expression, source: Expression, dot: HclToken) -> Expression:
        marker = self.read()
        first = self.ahead.range
        last = marker.range
        steps: list[Step] = []
        while self.ahead.kind == ".":
            inner_dot = self.read()
            token = self.ahead
            if token.kind == t.NUMBER:
                self.read()
                hint = " with a full splat expression [*] instead, "
                steps.append(self._legacy_index(inner_dot, token, marker, hint))
            elif token.kind == t.IDENT:
                self.read()
                steps.append(Attr(token.text, inner_dot.range.to(token.range)))
            else:
                self._bad_splat(token, marker)
                return source
            last = token.range
        item = SplatItem(dot.range.to(marker.range))
        each: Expression = Relative(item, steps, first.to(last)) if steps else item
        return Splat(source, each, item, origin.range.to(last), dot.range.to(marker.range))

    def _bad_splat(self, token: HclToken, marker: HclToken) -> None:
        if not self.recovering:
            if token.kind == "*":
                detail = (
                    "A splat expression (*) cannot be used inside another attribute-only "
                    "splat expression."
                )
                self.error("Nested splat expression not allowed", detail, token.range)
            else:
                self.error("Invalid attribute name", _NAME_AFTER_DOT, marker.range)
        self.recovering = True

    def _bracket(self, origin: Expression, source: Expression) -> Expression:
        opening = self.read()
        if self.ahead.kind == "*":
            return self._full_splat(origin, source, opening)
        self.push_newlines(False)
        mark = len(self.problems)
        key = self.parse_expression()
        if self.lost(mark):
            close = self.recover("]")
        else:
            detail = 'The index operator must end with a closing bracket ("]").'
            close = self._close_bracket("Missing close bracket on index", detail)
        self.pop_newlines()
        brackets = opening.range.to(close.range)
        if isinstance(key, Literal):
            return _step(source, LiteralIndex(key.value, brackets))
        if isinstance(key, Template) and key.is_literal:
            part = key.parts[0]
            assert isinstance(part, Literal)
            return _step(source, LiteralIndex(part.value, brackets))
        return Lookup(source, key, origin.range.to(brackets), opening.range, brackets)

    def _close_bracket(self, summary: str, detail: str) -> HclToken:
        close = self.read()
        if close.kind == "]" or self.recovering:
            return close
        self.error(summary, detail, close.range)
        return self.recover("]")

    def _full_splat(self, origin: Expression, source: Expression, opening: HclToken) -> Expression:
        """`[*]` and all the steps behind it, which are looked up in each element."""
        self.read()
        close = self._close_bracket(
            "Missing close bracket on splat index",
            "The star for a full splat operator must be immediately followed by a "
            'closing bracket ("]").',
        )
        marker = opening.range.to(close.range)
        item = SplatItem(marker)
        self.descend()
        each = self.parse_traversals(item)
        self.ascend()
        return Splat(source, each, item, origin.range.to(each.range), marker)


def _step(source: Expression, step: Step) -> Expression:
    """The expression with one more literal step; a chain of them is one node."""
    span: SourceRange = source.range.to(step.range)
    if isinstance(source, Variable | Relative):
        source.steps.append(step)
        source.range = span
        return source
    return Relative(source, [step], span)
