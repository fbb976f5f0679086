"""Parsing expressions: operators, terms and calls."""

from __future__ import annotations

from croze.bake.hcl import tokens as t
from croze.bake.hcl.source import Diagnostic
from croze.bake.hcl.syntax import (
    Binary,
    Broken,
    Conditional,
    Expression,
    FunctionCall,
    Literal,
    Parentheses,
    Unary,
    Variable,
)
from croze.bake.hcl.tokens import HclToken
from croze.bake.hcl.traversals import TraversalParser
from croze.bake.values import number as numbers
from croze.bake.values.types import NUMBER
from croze.bake.values.value import DYNAMIC_VALUE, FALSE, NULL, TRUE, number, unknown_of

_PRECEDENCE = {
    "||": 1,
    "&&": 2,
    "==": 3,
    "!=": 3,
    ">": 4,
    ">=": 4,
    "<": 4,
    "<=": 4,
    "+": 5,
    "-": 5,
    "*": 6,
    "/": 6,
    "%": 6,
}
_ENDS = frozenset({t.NEWLINE, ",", "]", "}", ")", "=", ":", t.SEQUENCE_END, t.EOF})
"""What follows a whole expression, most of which are a single term."""
_WORDS = {"true": TRUE, "false": FALSE, "null": NULL}


class ExpressionParser(TraversalParser):
    """The part of the parser that knows expressions as a whole."""

    def parse_expression(self) -> Expression:
        self.descend()
        first = self.ahead
        mark = len(self.problems)
        parsed = self._parse_term()
        if self.ahead.kind not in _ENDS:
            operand = self.parse_traversals(parsed)
            parsed = self._parse_conditional(first, self._parse_operators(operand, mark), mark)
        self.ascend()
        return parsed

    def _parse_conditional(self, first: HclToken, condition: Expression, mark: int) -> Expression:
        """What follows a condition, if it is one."""
        if self.lost(mark) or self.ahead.kind != "?":
            return condition
        self.read()
        when_true = self.parse_expression()
        if self.lost(mark):
            return condition
        colon = self.ahead
        if colon.kind != ":":
            detail = (
                "The conditional operator (...?...:...) requires a false expression, "
                "delimited by a colon."
            )
            self.error("Missing false expression in conditional", detail, colon.range)
            return condition
        self.read()
        when_false = self.parse_expression()
        if self.lost(mark):
            return condition
        return Conditional(condition, when_true, when_false, first.range.to(when_false.range))

    def _parse_operators(self, first: Expression, mark: int) -> Expression:
        """Binary operators and operands behind the first one, all of them left-associative, with a
        stack of those that wait."""
        if self.ahead.kind not in _PRECEDENCE or self.lost(mark):
            return first
        operands = [first]
        waiting: list[str] = []
        while (operator := self.ahead.kind) in _PRECEDENCE:
            self.read()
            _reduce(operands, waiting, _PRECEDENCE[operator])
            right = self._parse_operand()
            if self.lost(mark):
                return operands[0]
            waiting.append(operator)
            operands.append(right)
        _reduce(operands, waiting, 0)
        return operands[0]

    def _parse_operand(self) -> Expression:
        return self.parse_traversals(self._parse_term())

    def _parse_term(self) -> Expression:
        start = self.ahead
        match start.kind:
            case t.IDENT:
                return self._parse_name()
            case t.OPEN_QUOTE | t.OPEN_HEREDOC:
                return self.parse_quoted()
            case t.NUMBER:
                return self.number_literal(self.read())
            case "[":
                return self.parse_tuple()
            case "{":
                return self.parse_object()
            case "(":
                return self._parse_parentheses()
            case "-" | "!":
                self.read()
                self.descend()
                operand = self._parse_operand()
                self.ascend()
                return Unary(start.kind, operand, start.range.to(operand.range), start.range)
        if not self.recovering:
            if start.kind == t.EOF:
                detail = "Expected the start of an expression, but found the end of the file."
                self.error("Missing expression", detail, start.range)
            else:
                detail = (
                    "Expected the start of an expression, but found an invalid expression token."
                )
                self.error("Invalid expression", detail, start.range)
        self.recovering = True
        return Literal(DYNAMIC_VALUE, start.range)

    def number_literal(self, token: HclToken) -> Literal:
        parsed = numbers.parse(token.text)
        if parsed is None:
            detail = "Failed to recognize the value of this number literal."
            self.error("Invalid number literal", detail, token.range)
            return Literal(unknown_of(NUMBER), token.range)
        return Literal(number(parsed), token.range)

    def _parse_parentheses(self) -> Expression:
        open_token = self.read()
        self.push_newlines(False)
        mark = len(self.problems)
        inner = self.parse_expression()
        if len(self.problems) > mark:
            self.recover(")")
            self.pop_newlines()
            return inner
        if self.ahead.kind != ")":
            detail = "Expected a closing parenthesis to terminate the expression."
            self.error("Unbalanced parentheses", detail, self.ahead.range)
            self.recovering = True
        close = self.read()
        self.pop_newlines()
        return Parentheses(inner, open_token.range.to(close.range))

    def _parse_name(self) -> Expression:
        token = self.read()
        if self.ahead.kind in ("(", "::"):
            return self._parse_call(token)
        if token.text in _WORDS:
            return Literal(_WORDS[token.text], token.range)
        return Variable(token.text, token.range, token.range)

    def _parse_call(self, name: HclToken) -> Expression:
        full_name, last = name.text, name
        opening = self.read()
        while opening.kind == "::":
            last = self.read()
            if last.kind != t.IDENT:
                detail = (
                    "Function scope resolution symbol :: must be followed by a function "
                    "name in this scope."
                )
                return self._broken_call("Missing function name", detail, name, last)
            full_name += f"::{last.text}"
            opening = self.read()
        if opening.kind != "(":
            detail = (
                "Function selector must be followed by an open parenthesis to begin the "
                "function call."
            )
            return self._broken_call("Missing open parenthesis", detail, name, opening)
        self.push_newlines(False)
        args: list[Expression] = []
        close, expands = self._parse_args(name, opening, args)
        self.pop_newlines()
        return FunctionCall(
            full_name, args, expands, name.range.to(last.range), opening.range, close.range
        )

    def _broken_call(self, summary: str, detail: str, name: HclToken, bad: HclToken) -> Expression:
        problem = Diagnostic(summary, detail, bad.range)
        self.problems.append(problem)
        self.recover_over("(")
        return Broken([problem], name.range.to(bad.range))

    def _parse_args(
        self, name: HclToken, opening: HclToken, args: list[Expression]
    ) -> tuple[HclToken, bool]:
        """The arguments; returns the closing parenthesis, and whether the last argument is
        expanded."""
        while True:
            if self.ahead.kind == ")":
                return self.read(), False
            mark = len(self.problems)
            args.append(self.parse_expression())
            if self.lost(mark):
                return self.recover(")"), False
            separator = self.read()
            if separator.kind == ")":
                return separator, False
            if separator.kind == "...":
                return self._close_expanded(separator), True
            if separator.kind != ",":
                self._no_argument_separator(name, opening, separator)
                return self.recover(")"), False

    def _close_expanded(self, ellipsis: HclToken) -> HclToken:
        if self.ahead.kind == ")":
            return self.read()
        if not self.recovering:
            detail = (
                "An expanded function argument (with ...) must be immediately followed "
                "by closing parentheses."
            )
            self.error("Missing closing parenthesis", detail, ellipsis.range)
        return self.recover(")")

    def _no_argument_separator(
        self, name: HclToken, opening: HclToken, separator: HclToken
    ) -> None:
        if separator.kind == t.EOF:
            detail = (
                "There is no closing parenthesis for this function call before the "
                "end of the file. This may "
                "be caused by incorrect parenthesis nesting elsewhere in this file."
            )
            self.error("Unterminated function call", detail, name.range.to(opening.range))
        else:
            detail = "A comma is required to separate each function argument from the next."
            self.error("Missing argument separator", detail, separator.range)


def _reduce(operands: list[Expression], waiting: list[str], precedence: int) -> None:
    """Apply the waiting operators that bind at least as tightly."""
    while waiting and _PRECEDENCE[waiting[-1]] >= precedence:
        right = operands.pop()
        operands[-1] = Binary(waiting.pop(), operands[-1], right)
