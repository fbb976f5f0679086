"""Terms and bodies."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TypeVar

from croze.rego.errors import Location, Problem
from croze.rego.parse.cursor import TOO_DEEP, Cursor
from croze.rego.parse.lexer import RegoToken
from croze.rego.syntax import (
    ArrayTerm,
    Call,
    Comprehension,
    Every,
    Expr,
    Holds,
    Literal,
    ObjectTerm,
    RefTerm,
    Scalar,
    SetTerm,
    SomeIn,
    SomeVars,
    TemplateString,
    Term,
    Unify,
    Var,
    With,
)
from croze.rego.values import FALSE, TRUE, Value, type_name

T = TypeVar("T")
_RELATIONS = {
    "==": "equal",
    "!=": "neq",
    "<": "lt",
    "<=": "lte",
    ">": "gt",
    ">=": "gte",
}
_LEVELS: tuple[dict[str, str], ...] = (
    _RELATIONS,
    {"|": "or"},
    {"&": "and"},
    {"+": "plus", "-": "minus"},
    {"*": "mul", "/": "div", "%": "rem"},
)
MEMBER, MEMBER_WITH_KEY = "internal.member_2", "internal.member_3"
_CONSTANTS: dict[str, Value] = {"true": TRUE, "false": FALSE, "null": None}
_TERM_KEYWORDS = ("input", "data", "contains")
_wildcards = iter(range(1 << 62))


class Parser(Cursor):
    """Reads terms and bodies from where it stands. Raises `Problem`."""

    def __init__(self, words: Sequence[RegoToken]) -> None:
        super().__init__(words)
        self._read: dict[int, tuple[Term, int]] = {}

    # -- bodies --

    def body(self) -> tuple[Expr, ...]:
        """`{ … }` or a single literal."""
        if self.token.kind == "{":
            mark = self.mark()
            self.advance()
            if self.token.kind != "}":
                literals = self._braced_body()
                if literals is not None:
                    return literals
            self.back_to(mark)
        return (self.literal(),)

    def _braced_body(self) -> tuple[Expr, ...] | None:
        """A body in braces; None if the brace begins an object or a set instead."""
        mark = self.mark()
        with self.deeper():
            first = self._try(self.infix)
            if first is not None and self.token.kind in (":", ","):
                return None
            self.back_to(mark)
            return self.literals("}")

    def literals(self, end: str) -> tuple[Expr, ...]:
        """Literals up to `end`, which is passed."""
        literals = []
        while True:
            while self.take(";"):
                pass
            if self.take(end):
                break
            literals.append(self.literal())
            if self.token.kind not in (";", end) and self.same_row():
                raise self.unexpected(f"expected \\n or ; or {end}" if literals else "")
        if not literals:
            raise self.fail("found empty body", self.last.at)
        return tuple(literals)

    def literal(self) -> Expr:
        at = self.token.at
        with self.deeper():
            if self.take_keyword("not"):
                literal, negated = self._positive(), True
            elif self.at_keyword("some"):
                literal, negated = self._some(), False
            elif self.at_keyword("every"):
                literal, negated = self._every(), False
            else:
                literal, negated = self._positive(), False
            return Expr(literal, at, negated, self._withs())

    def _positive(self) -> Literal:
        term = self.infix(commas=True)
        if self.token.kind in (":=", "="):
            declares = self.advance().kind == ":="
            return Unify(term, self.infix(), declares)
        return Holds(term)

    def _withs(self) -> tuple[With, ...]:
        targets = []
        while self.at_keyword("with"):
            at = self.advance().at
            target = self.term()
            if not self.take_keyword("as"):
                raise self.unexpected("expected `as` keyword")
            targets.append(With(target, self.infix(), at))
        return tuple(targets)

    def _some(self) -> Literal:
        self.advance()
        first = self.term()
        names = [first]
        while self.take(","):
            names.append(self.term())
        if self.take_keyword("in"):
            if len(names) > 2:
                raise self.unexpected("expected `x in xs` or `x, y in xs` expression")
            key = names[0] if len(names) == 2 else None
            return SomeIn(key, names[-1], self.infix())
        declared = [name for name in names if isinstance(name, Var)]
        if len(declared) < len(names):
            raise self.unexpected("expected var")
        return SomeVars(tuple(declared))

    def _every(self) -> Literal:
        self.advance()
        names = [self.term()]
        while self.take(","):
            names.append(self.term())
        declared = [name for name in names if isinstance(name, Var)]
        if len(declared) < len(names) or len(names) > 2 or not self.take_keyword("in"):
            raise self.unexpected("expected `x[, y] in xs { ... }` expression")
        domain = self.infix()
        self.need("{", "missing body")
        key = declared[0] if len(declared) == 2 else None
        return Every(key, declared[-1], domain, self.literals("}"))

    # -- terms --

    def infix(self, *, commas: bool = False) -> Term:
        """A term with operators. With `commas`, `k, v in xs` is one."""
        at = self.token.at
        with self.deeper():
            first = self._level(0)
            if commas and self.token.kind == ",":
                mark = self.mark()
                self.advance()
                second = self._level(0)
                if self.take_keyword("in"):
                    return Call(MEMBER_WITH_KEY, (first, second, self._level(0)), at)
                self.back_to(mark)
            while self.take_keyword("in"):
                first = Call(MEMBER, (first, self._level(0)), at)
            return first

    def _level(self, level: int) -> Term:
        if level == len(_LEVELS):
            return self.term()
        left = self._level(level + 1)
        while (name := _LEVELS[level].get(self.token.kind)) is not None:
            at = self.advance().at
            right = self._level(level + 1)
            left = Call(name, (left, right), left.at if level else at)
        return left

    def term(self) -> Term:
        """A term and what it is followed by: fields, indexes, arguments.

        Braces are read several ways, each within each other: what has been read is remembered.
        """
        begin = self.mark()
        if begin not in self._read:
            with self.deeper():
                term = self._followed(self._operand())
            self._read[begin] = term, self.mark()
        term, end = self._read[begin]
        self.back_to(end)
        return term

    def _operand(self) -> Term:
        token = self.token
        match token.kind:
            case "name":
                self.advance()
                return self._var(token.text, token.at)
            case "string":
                return Scalar(self.advance().text, token.at)
            case "number":
                return Scalar(_number(self.advance().text), token.at)
            case "template":
                return self._template()
            case "-":
                self.advance()
                digits = self.need("number", "expected number")
                return Scalar(_number("-" + digits.text), token.at)
            case "(":
                self.advance()
                inner = self.infix(commas=True)
                self.need(")", "expected )")
                return inner
            case "[":
                return self._array()
            case "{":
                return self._braces()
            case "keyword":
                return self._keyword()
        raise self.unexpected()

    def _keyword(self) -> Term:
        token = self.token
        if token.text in _CONSTANTS:
            self.advance()
            return Scalar(_CONSTANTS[token.text], token.at)
        if token.text in _TERM_KEYWORDS:
            self.advance()
            return Var(token.text, token.at)
        raise self.unexpected()

    def _var(self, name: str, at: Location) -> Term:
        if name == "_":
            return Var(f"_#{next(_wildcards)}", at)
        return Var(name, at)

    def _template(self) -> Term:
        token = self.advance()
        parts: list[str | Term] = []
        for part in token.parts:
            if isinstance(part, str):
                parts.append(part)
                continue
            inner = Parser(part)
            parts.append(inner.infix())
            if inner.token.kind != "end":
                raise inner.unexpected()
        return TemplateString(tuple(part for part in parts if part != ""), token.at)

    def _followed(self, term: Term) -> Term:
        path: list[Term] = []
        at = term.at
        while self.touches():
            if self.token.kind == "." and not isinstance(term, Scalar):
                self.advance()
                if self.token.kind not in ("name", "keyword") or not self.touches():
                    raise self.unexpected("expected var after .")
                field = self.advance()
                path.append(Scalar(field.text, field.at))
            elif self.token.kind == "[":
                if isinstance(term, Scalar):
                    message = f"illegal ref (head cannot be {type_name(term.value)})"
                    raise self.fail(message, at, excerpt=True)
                self.advance()
                path.append(self.infix())
                self.need("]", "expected ]")
            elif self.token.kind == "(":
                name = _function_name(term, path)
                if not name:
                    break
                args = self._arguments()
                empty = name == "set" and not args
                term, path = SetTerm((), at) if empty else Call(name, args, at), []
            else:
                break
        return RefTerm(term, tuple(path), at) if path else term

    def _arguments(self) -> tuple[Term, ...]:
        self.need("(", "")
        return tuple(self._list(")", 'expected "," or ")"'))

    def _list(self, end: str, what: str) -> list[Term]:
        """Terms with commas between them, up to `end`, which is passed."""
        items: list[Term] = []
        while not self.take(end):
            items.append(self.infix())
            if self.token.kind != end:
                self.need(",", what)
        return items

    def _array(self) -> Term:
        at = self.advance().at
        comprehension = self._comprehension("array", "]", at)
        if comprehension is not None:
            return comprehension
        return ArrayTerm(tuple(self._list("]", 'expected "," or "]"')), at)

    def _braces(self) -> Term:
        """An object, a set, or a comprehension of one."""
        at = self.advance().at
        if self.take("}"):
            return ObjectTerm((), at)
        comprehension = self._comprehension("set", "}", at)
        if comprehension is not None:
            return comprehension
        first = self.infix()
        if self.token.kind == ":":
            return self._object(first, at)
        items = [first]
        while not self.take("}"):
            self.need(",", "non-terminated set")
            if self.token.kind != "}":
                items.append(self.infix())
        return SetTerm(tuple(items), at)

    def _comprehension(self, kind: str, end: str, at: Location) -> Term | None:
        mark = self.mark()
        value = self._try(self.term)
        if value is not None and self.take("|"):
            body = self._try(lambda: self.literals(end)) if kind == "set" else self.literals(end)
            if body is not None:
                return Comprehension(kind, None, value, body, at)
        self.back_to(mark)
        return None

    def _object(self, key: Term, at: Location) -> Term:
        self.advance()
        mark = self.mark()
        value = self._try(self.term)
        if value is not None and self.take("|"):
            return Comprehension("object", key, value, self.literals("}"), at)
        self.back_to(mark)
        items = [(key, self.infix())]
        while not self.take("}"):
            self.need(",", "non-terminated object")
            if self.token.kind != "}":
                key = self.infix()
                self.need(":", "expected :")
                items.append((key, self.infix()))
        return ObjectTerm(tuple(items), at)

    def _try(self, read: Callable[[], T]) -> T | None:
        """What is read; None, and back where it began, if it can't be read."""
        mark = self.mark()
        try:
            return read()
        except Problem as problem:
            if problem.message == TOO_DEEP:
                raise
            self.back_to(mark)
            return None


def _number(text: str) -> int | float:
    value: int | float = json.loads(text)
    return value


def _function_name(term: Term, path: list[Term]) -> str:
    """The name before `(`; empty if it can't be a function's."""
    if isinstance(term, Call) or not isinstance(term, Var):
        return ""
    words = [term.name]
    for each in path:
        if not isinstance(each, Scalar) or not isinstance(each.value, str):
            return ""
        words.append(each.value)
    return ".".join(words)
