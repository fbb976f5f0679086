"""Bodies in simpler terms: what yields several values stands in an expression of its own.

`f(xs[i], i)` becomes `t = xs[i]; f(t, i)`, and `[x, 1] = [2, y]` becomes `x = 2; 1 = y`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from msgspec.structs import replace

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
    Term,
    Unify,
    Var,
    subterms,
)
from croze.rego.values import FALSE

Hoist = Callable[[Term], Term]


class Flattening:
    """Flattens one rule: names are made up. `arity` tells how many arguments a function takes."""

    def __init__(self, arity: Callable[[str], int]) -> None:
        self._count = 0
        self._arity = arity

    def body(self, body: tuple[Expr, ...]) -> tuple[Expr, ...]:
        """The body in simpler terms."""
        return tuple(each for expr in body for each in self._expr(expr))

    def head(self, term: Term) -> tuple[tuple[Expr, ...], Term]:
        """What a head's term needs in front of it, and the term then."""
        before: list[Expr] = []
        flat = self._term(term, self._hoister(before, None), inside=True)
        return tuple(before), flat

    def _expr(self, expr: Expr) -> Iterator[Expr]:
        before: list[Expr] = []
        hoist = self._hoister(before, expr)
        literal = self._with_result(expr.literal)
        literal = self._negated(literal, hoist) if expr.negated else self._literal(literal, hoist)
        withs = tuple(replace(each, value=self._term(each.value, None)) for each in expr.withs)
        yield from before
        for each in _split(literal) if not expr.negated else (literal,):
            yield Expr(each, expr.at, expr.negated, withs)

    def _with_result(self, literal: Literal) -> Literal:
        """`f(x, y)` for an `f` of one argument says what it gives: `y = f(x)`."""
        match literal:
            case Holds(Call(name, args, at)) if args and len(args) == self._arity(name) + 1:
                return Unify(args[-1], Call(name, args[:-1], at))
        return literal

    def _hoister(self, before: list[Expr], of: Expr | None) -> Hoist:
        def hoist(term: Term) -> Term:
            self._count += 1
            name = Var(f"_#t{self._count}", term.at)
            withs = of.withs if of is not None else ()
            before.append(Expr(Unify(name, term), term.at, withs=withs))
            return name

        return hoist

    def _literal(self, literal: Literal, hoist: Hoist) -> Literal:
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

    # -- negated ones --

    def _negated(self, literal: Literal, hoist: Hoist) -> Literal:
        """Only the outermost is negated. What it is made of stands in front: where that is
        undefined, the body fails, as in OPA (`not startswith(input.nope, "a")`)."""
        match literal:
            case Holds(term=Call(name="equal", args=(left, right), at=at)):
                pair = (self._operand(left, hoist), self._operand(right, hoist))
                return Holds(Call("equal", pair, at))
            case Unify():
                return Unify(
                    self._operand(literal.left, hoist), self._operand(literal.right, hoist)
                )
            case Holds():
                return Holds(self._operand(literal.term, hoist, outermost=True))
        return self._literal(literal, hoist)

    def _operand(self, term: Term, hoist: Hoist, *, outermost: bool = False) -> Term:
        """A reference may stay, undefined or not; so may the outermost call."""
        match term:
            case RefTerm():
                path = tuple(self._apart(part, hoist) for part in term.path)
                head = term.head if isinstance(term.head, Var) else hoist(term.head)
                return RefTerm(head, path, term.at)
            case Call() if not outermost:
                return self._apart(term, hoist)
            case Call():
                args = tuple(self._apart(arg, hoist) for arg in term.args)
                return Call(term.name, args, term.at)
        return self._apart(term, hoist)

    def _apart(self, term: Term, hoist: Hoist) -> Term:
        """A term with all that may be undefined in front of it."""
        match term:
            case RefTerm() | Call():
                return hoist(self._operand(term, hoist, outermost=True))
            case ArrayTerm():
                return ArrayTerm(tuple(self._apart(item, hoist) for item in term.items), term.at)
            case SetTerm():
                return SetTerm(tuple(self._apart(item, hoist) for item in term.items), term.at)
            case ObjectTerm():
                pairs = ((self._apart(k, hoist), self._apart(v, hoist)) for k, v in term.items)
                return ObjectTerm(tuple(pairs), term.at)
        return self._term(term, None)

    # -- terms --

    def _term(self, term: Term, hoist: Hoist | None, *, inside: bool = False) -> Term:
        """`inside` something that wants one value at a time."""

        def each(inner: Term, *, now_inside: bool = inside) -> Term:
            return self._term(inner, hoist, inside=now_inside)

        match term:
            case RefTerm():
                path = tuple(each(part, now_inside=False) for part in term.path)
                flat = RefTerm(each(term.head, now_inside=False), path, term.at)
                many = any(not isinstance(part, Scalar) for part in path)
                return hoist(flat) if hoist is not None and inside and many else flat
            case ArrayTerm():
                return ArrayTerm(tuple(map(each, term.items)), term.at)
            case SetTerm():
                return SetTerm(tuple(each(item, now_inside=True) for item in term.items), term.at)
            case ObjectTerm():
                pairs = ((each(key, now_inside=True), each(v)) for key, v in term.items)
                return ObjectTerm(tuple(pairs), term.at)
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
