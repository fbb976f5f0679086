"""Bodies in an order in which each variable is bound before somebody needs it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from croze.rego.errors import UNSAFE, Location, Problem
from croze.rego.syntax import (
    ArrayTerm,
    Branch,
    Call,
    Comprehension,
    Every,
    Expr,
    Holds,
    Literal,
    ObjectTerm,
    RefTerm,
    SetTerm,
    SomeIn,
    TemplateString,
    Term,
    Unify,
    Var,
    present,
    subterms,
    terms_of,
)
from croze.rego.variables import ROOTS, body_variables, variables

Bound = frozenset[str]


def ordered_branch(
    branch: Branch, heads: Iterable[Term], args: Iterable[Term], problems: list[Problem]
) -> Branch:
    """The branch with its bodies in order. `heads` need what the body binds."""
    bound = frozenset(name for arg in args for name in variables(arg))
    heads = [branch.value, *heads]
    scope = bound | _direct(branch.body) | {n for head in heads for n in _own(head)}
    ordering = _Ordering(problems)
    body = ordering.body(branch.body, bound, scope)
    bound_after = bound | _bound_by(body, bound)
    value = ordering.term(branch.value, bound_after, scope)
    for head in heads:
        ordering.check(_needs(head, scope) - bound_after, head.at)
    return Branch(value, body, branch.at)


def _own(term: Term) -> Iterator[str]:
    """The variables in a term, but for those in its comprehensions' bodies."""
    if isinstance(term, Var):
        if term.name not in ROOTS:
            yield term.name
    elif not isinstance(term, Comprehension):
        for inner in subterms(term):
            yield from _own(inner)


def _direct(body: Iterable[Expr]) -> Bound:
    names = (name for expr in body for term in terms_of(expr.literal) for name in _own(term))
    return frozenset(names)


def _needs(term: Term, scope: Bound) -> frozenset[str]:
    """What must be bound for a term to have values; it may bind some of these itself."""
    match term:
        case Var():
            return frozenset() if term.name in ROOTS else frozenset({term.name})
        case RefTerm():
            needed = _needs(term.head, scope)
            for part in term.path:
                if not isinstance(part, Var | ArrayTerm):
                    needed |= _needs(part, scope)
            return needed
        case Comprehension():
            return frozenset(variables(term)) & scope
    return frozenset(name for inner in subterms(term) for name in _needs(inner, scope))


def _gives(term: Term) -> frozenset[str]:
    """What a term binds: the variables that stand for keys in references."""
    names: set[str] = set()
    match term:
        case RefTerm():
            for part in term.path:
                names |= _pattern(part) | _gives(part)
            names |= _gives(term.head)
        case ArrayTerm() | SetTerm() | ObjectTerm() | Call():
            for inner in subterms(term):
                names |= _gives(inner)
    return frozenset(names)


def _pattern(term: Term) -> frozenset[str]:
    """What matching with a term binds."""
    match term:
        case Var():
            return frozenset({term.name})
        case ArrayTerm():
            return frozenset(name for item in term.items for name in _pattern(item))
        case ObjectTerm():
            return frozenset(name for _, value in term.items for name in _pattern(value))
    return frozenset()


def _pattern_needs(term: Term, scope: Bound) -> frozenset[str]:
    match term:
        case Var():
            return frozenset()
        case ArrayTerm():
            names = (name for item in term.items for name in _pattern_needs(item, scope))
            return frozenset(names)
        case ObjectTerm():
            keys = (name for key, _ in term.items for name in _needs(key, scope))
            values = (n for _, value in term.items for n in _pattern_needs(value, scope))
            return frozenset((*keys, *values))
    return _needs(term, scope)


def _bound_by(body: Iterable[Expr], bound: Bound) -> Bound:
    """What is bound once a body in order holds."""
    for expr in body:
        if not expr.negated:
            bound |= _binds(expr.literal)
    return bound


def _binds(literal: Literal) -> Bound:
    match literal:
        case Unify():
            return _pattern(literal.left) | _gives(literal.left) | _gives(literal.right)
        case SomeIn():
            key = _pattern(literal.key) if literal.key is not None else frozenset()
            return key | _pattern(literal.value) | _gives(literal.domain)
        case Holds():
            return _gives(literal.term)
    return frozenset()


class _Ordering:
    def __init__(self, problems: list[Problem]) -> None:
        self._problems = problems

    def check(self, missing: frozenset[str], at: Location) -> None:
        for name in sorted(missing):
            shown = name.partition("#")[0]
            self._problems.append(Problem(UNSAFE, f"var {shown} is unsafe", at))

    def body(self, body: tuple[Expr, ...], bound: Bound, scope: Bound) -> tuple[Expr, ...]:
        """The expressions in order; what can't be brought into one is told."""
        waiting = list(body)
        ordered: list[Expr] = []
        while waiting:
            for expr in waiting:
                turned = self._ready(expr, bound, scope)
                if turned is not None:
                    break
            else:
                self._tell(waiting, bound, scope)
                return tuple(ordered)
            waiting.remove(expr)
            ordered.append(self._inner(turned, bound, scope))
            bound = _bound_by((turned,), bound)
        return tuple(ordered)

    def _tell(self, waiting: list[Expr], bound: Bound, scope: Bound) -> None:
        told_names: set[str] = set()
        for expr in waiting:
            missing = self._missing(expr, bound, scope) - told_names
            told_names |= missing
            self.check(missing, expr.at)

    def _ready(self, expr: Expr, bound: Bound, scope: Bound) -> Expr | None:
        """The expression, turned so that what is matched stands left; None if it must wait."""
        if not self._missing(expr, bound, scope):
            return expr
        literal = expr.literal
        if isinstance(literal, Unify) and not expr.negated:
            turned = Expr(Unify(literal.right, literal.left), expr.at, False, expr.withs)
            if not self._missing(turned, bound, scope):
                return turned
        return None

    def _missing(self, expr: Expr, bound: Bound, scope: Bound) -> frozenset[str]:
        literal = expr.literal
        withs = frozenset(n for each in expr.withs for n in _needs(each.value, scope)) - bound
        if expr.negated:
            names = frozenset(n for term in terms_of(literal) for n in _closed(term, scope))
            return (names - bound) | withs
        match literal:
            case Unify():
                bindings = _gives(literal.right)
                needs = _needs(literal.right, scope) - bindings
                inner = _pattern_needs(literal.left, scope) - bindings - _gives(literal.left)
                return (needs - bound) | (inner - bound - _pattern(literal.left)) | withs
            case SomeIn():
                missing = _needs(literal.domain, scope) - _gives(literal.domain)
                for each in present(literal.key, literal.value):
                    missing |= _pattern_needs(each, scope)
                return (missing - bound) | withs
            case Every():
                names = frozenset(body_variables(literal.body)) & scope
                missing = _needs(literal.domain, scope) - _gives(literal.domain) | names
                return (missing - bound) | withs
            case Holds():
                return (_needs(literal.term, scope) - _gives(literal.term) - bound) | withs
        return withs

    # -- bodies within --

    def _inner(self, expr: Expr, bound: Bound, scope: Bound) -> Expr:
        literal = expr.literal
        bound |= _bound_by((expr,), bound)
        inner: Literal = literal
        match literal:
            case Holds():
                inner = Holds(self.term(literal.term, bound, scope))
            case Unify():
                left = self.term(literal.left, bound, scope)
                inner = Unify(left, self.term(literal.right, bound, scope))
            case SomeIn():
                domain = self.term(literal.domain, bound, scope)
                inner = SomeIn(literal.key, literal.value, domain)
            case Every():
                inner = self._every(literal, bound, scope)
        return Expr(inner, expr.at, expr.negated, expr.withs)

    def _every(self, literal: Every, bound: Bound, scope: Bound) -> Every:
        own = {each.name for each in (literal.key, literal.value) if each is not None}
        bound |= own
        scope = scope | own | _direct(literal.body)
        body = self.body(literal.body, bound, scope)
        domain = self.term(literal.domain, bound, scope)
        return Every(literal.key, literal.value, domain, body)

    def term(self, term: Term, bound: Bound, scope: Bound) -> Term:
        """The term with the comprehensions in it in order."""

        def each(inner: Term) -> Term:
            return self.term(inner, bound, scope)

        match term:
            case RefTerm():
                return RefTerm(each(term.head), tuple(map(each, term.path)), term.at)
            case ArrayTerm():
                return ArrayTerm(tuple(map(each, term.items)), term.at)
            case SetTerm():
                return SetTerm(tuple(map(each, term.items)), term.at)
            case ObjectTerm():
                pairs = tuple((each(key), each(value)) for key, value in term.items)
                return ObjectTerm(pairs, term.at)
            case Call():
                return Call(term.name, tuple(map(each, term.args)), term.at)
            case TemplateString():
                parts = (part if isinstance(part, str) else each(part) for part in term.parts)
                return TemplateString(tuple(parts), term.at)
            case Comprehension():
                return self._comprehension(term, bound, scope)
        return term

    def _comprehension(self, term: Comprehension, bound: Bound, scope: Bound) -> Comprehension:
        heads = [each for each in (term.key, term.value) if each is not None]
        inner = scope | _direct(term.body) | {n for head in heads for n in _own(head)}
        body = self.body(term.body, bound, inner)
        bound_after = bound | _bound_by(body, bound)
        for head in heads:
            self.check(_needs(head, inner) - bound_after, head.at)
        key = None if term.key is None else self.term(term.key, bound_after, inner)
        value = self.term(term.value, bound_after, inner)
        return Comprehension(term.kind, key, value, body, term.at)


def _closed(term: Term, scope: Bound) -> Iterator[str]:
    """What a negated term needs: all its variables, and those of the scope in comprehensions."""
    yield from _own(term)
    yield from frozenset(variables(term)) & scope
