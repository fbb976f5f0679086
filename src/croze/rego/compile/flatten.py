"""Bodies in simpler terms: what yields several values stands in an expression of its own.

`f(xs[i], i)` becomes `t = xs[i]; f(t, i)`, and `[x, 1] = [2, y]` becomes `x = 2; 1 = y`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from croze.rego.syntax import (
    ArrayTerm,
    Call,
    Comprehension,
    Every,
    Expr,
    Holds,
    Literal,
    ObjectTerm,
    Ref,
    Scalar,
    SetTerm,
    SomeIn,
    Term,
    Unify,
    Var,
    subterms,
)
from croze.rego.values import FALSE


class Flattening:
    """Of one rule: names are made up."""

    def __init__(self) -> None:
        self._count = 0

    def body(self, body: tuple[Expr, ...]) -> tuple[Expr, ...]:
        return tuple(each for expr in body for each in self._expr(expr))

    def head(self, term: Term) -> tuple[tuple[Expr, ...], Term]:
        """What a head's term needs in front of it, and the term then."""
        before: list[Expr] = []
        found = self._term(term, self._hoister(before, None), inside=True)
        return tuple(before), found

    def _expr(self, expr: Expr) -> Iterator[Expr]:
        before: list[Expr] = []
        hoist = None if expr.negated else self._hoister(before, expr)
        literal = self._literal(expr.literal, hoist)
        withs = tuple(replace(each, value=self._term(each.value, None)) for each in expr.withs)
        yield from before
        for each in _split(literal) if not expr.negated else (literal,):
            yield Expr(each, expr.at, expr.negated, withs)

    def _hoister(self, before: list[Expr], of: Expr | None) -> Callable[[Ref], Term]:
        def hoist(ref: Ref) -> Term:
            self._count += 1
            name = Var(f"_#t{self._count}", ref.at)
            withs = of.withs if of is not None else ()
            before.append(Expr(Unify(name, ref), ref.at, withs=withs))
            return name

        return hoist

    def _literal(self, literal: Literal, hoist: Callable[[Ref], Term] | None) -> Literal:
        match literal:
            case Holds():
                return Holds(self._term(literal.term, hoist))
            case Unify():
                left = self._term(literal.left, hoist)
                return Unify(left, self._term(literal.right, hoist))
            case SomeIn():
                key = None if literal.key is None else self._term(literal.key, hoist)
                domain = self._term(literal.domain, hoist)
                return SomeIn(key, self._term(literal.value, hoist), domain)
            case Every():
                domain = self._term(literal.domain, hoist)
                return Every(literal.key, literal.value, domain, self.body(literal.body))
        return literal

    def _term(
        self, term: Term, hoist: Callable[[Ref], Term] | None, *, inside: bool = False
    ) -> Term:
        """`inside` something that wants one value at a time."""

        def each(inner: Term, *, now_inside: bool = inside) -> Term:
            return self._term(inner, hoist, inside=now_inside)

        match term:
            case Ref():
                path = tuple(each(part, now_inside=False) for part in term.path)
                found = Ref(each(term.head, now_inside=False), path, term.at)
                many = any(not isinstance(part, Scalar) for part in path)
                return hoist(found) if hoist is not None and inside and many else found
            case ArrayTerm():
                return ArrayTerm(tuple(map(each, term.items)), term.at)
            case SetTerm():
                return SetTerm(tuple(each(item, now_inside=True) for item in term.items), term.at)
            case ObjectTerm():
                pairs = tuple((each(key, now_inside=True), each(v)) for key, v in term.items)
                return ObjectTerm(pairs, term.at)
            case Call():
                if term.name == "print":
                    hoist = None
                args = tuple(self._term(arg, hoist, inside=True) for arg in term.args)
                return Call(term.name, args, term.at)
            case Comprehension():
                return self._comprehension(term)
        return term

    def _comprehension(self, term: Comprehension) -> Comprehension:
        before: list[Expr] = []
        hoist = self._hoister(before, None)
        key = None if term.key is None else self._term(term.key, hoist, inside=True)
        value = self._term(term.value, hoist, inside=True)
        body = (*self.body(term.body), *before)
        return Comprehension(term.kind, key, value, body, term.at)


def _split(literal: Literal) -> Iterator[Literal]:
    """Arrays and objects that are unified, part by part."""
    if not isinstance(literal, Unify):
        yield literal
        return
    left, right = literal.left, literal.right
    arrays = isinstance(left, ArrayTerm) and isinstance(right, ArrayTerm)
    if not arrays or not _has_variables(left) or not _has_variables(right):
        yield literal
        return
    one, other = list(subterms(left)), list(subterms(right))
    if len(one) != len(other):
        yield Holds(Scalar(FALSE, left.at))
        return
    for first, second in zip(one, other, strict=True):
        yield from _split(Unify(first, second))


def _has_variables(term: Term) -> bool:
    return isinstance(term, Var) or any(map(_has_variables, subterms(term)))
