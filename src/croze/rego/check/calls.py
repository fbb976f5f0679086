"""Functions that are called: whether they are there, and take that many arguments."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from croze.rego.check.matching import Matching
from croze.rego.check.scope import BodyScope, CheckContext
from croze.rego.check.types import FunctionType, shown
from croze.rego.errors import TYPE, Location, Problem
from croze.rego.syntax import (
    Call,
    Comprehension,
    Every,
    Expr,
    Holds,
    Rule,
    Term,
    present,
    subterms,
    terms_of,
)
from croze.rego.tree import RuleNode

PRINT = "print"


def call_problems(
    root: RuleNode, lent: Mapping[str, FunctionType], deprecated: frozenset[str]
) -> list[Problem]:
    """The calls that are wrong, in the order of the rules in their files."""
    checker = _Calls(CheckContext(root, lent), deprecated)
    problems = [p for node in root.below() for rule in node.rules for p in checker.rule(rule)]
    return sorted(problems, key=lambda each: (each.at.file, each.at.row, each.at.col))


class _Calls(Matching):
    def __init__(self, world: CheckContext, deprecated: frozenset[str]) -> None:
        super().__init__(world)
        self._deprecated = deprecated

    def rule(self, rule: Rule) -> Iterator[Problem]:
        for branch in rule.branches:
            yield from self._body(branch.body)
            yield from self._term(branch.value)
        for term in present(*rule.keys, rule.element):
            yield from self._term(term)

    def _body(self, body: Iterable[Expr]) -> Iterator[Problem]:
        for expr in body:
            for each in expr.withs:
                yield from self._term(each.value)
            if isinstance(expr.literal, Holds) and isinstance(expr.literal.term, Call):
                yield from self._call(expr.literal.term, expr.at)
            else:
                for term in terms_of(expr.literal):
                    yield from self._term(term)
            if isinstance(expr.literal, Every):
                yield from self._body(expr.literal.body)

    def _term(self, term: Term) -> Iterator[Problem]:
        if isinstance(term, Call):
            yield from self._call(term, None)
            return
        for inner in subterms(term):
            yield from self._term(inner)
        if isinstance(term, Comprehension):
            for inner in present(term.key, term.value):
                yield from self._term(inner)
            yield from self._body(term.body)

    def _call(self, call: Call, whole: Location | None) -> Iterator[Problem]:
        for arg in call.args:
            yield from self._term(arg)
        at = whole or call.at
        if call.name in self._deprecated:
            message = f"deprecated built-in function calls in expression: {call.name}"
            yield Problem(TYPE, message, at)
        elif call.name != PRINT:
            yield from self._arity(call, at, nested=whole is None)

    def _arity(self, call: Call, at: Location, *, nested: bool) -> Iterator[Problem]:
        count, arity = len(call.args), self._world.arity(call.name)
        if arity < 0:
            yield Problem(TYPE, f"undefined function {call.name}", at)
        elif count == arity or (not nested and count == arity + 1):
            return
        elif function := self._world.builtin(call.name):
            have = [shown(self.type_of(arg, BodyScope())) for arg in call.args]
            have += ["???"] if nested else []
            details = f"\n\thave: ({', '.join(have)})\n\twant: {function.wanted(result=False)}"
            yield Problem(TYPE, f"{call.name}: arity mismatch{details}", at)
        else:
            got = f"got {count} argument" + ("" if count == 1 else "s")
            yield Problem(TYPE, f"function {call.name} has arity {arity}, {got}", at)
