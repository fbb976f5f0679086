"""What names stand for: variables of a body, rules, imports, functions.

Variables get names that are unique in a rule (`x#3`), references to rules begin at `data`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager

from msgspec import Struct
from msgspec.structs import replace

from croze.rego.errors import COMPILE, TYPE, Location, Problem
from croze.rego.syntax import (
    ArrayTerm,
    Branch,
    Call,
    Comprehension,
    Every,
    Expr,
    Holds,
    Literal,
    Module,
    ObjectTerm,
    RefTerm,
    Rule,
    Scalar,
    SetTerm,
    SomeIn,
    SomeVars,
    TemplateString,
    Term,
    Unify,
    Var,
    With,
    present,
    subterms,
)

ROOTS = ("input", "data")


class Names(Struct, frozen=True):
    """What the names in one module stand for."""

    package: tuple[str, ...]
    rules: frozenset[str]
    """First names of the rules in the package, in whichever module."""
    imports: Mapping[str, tuple[str, ...]]
    functions: Collection[str]
    """Built-in functions."""


def names_of(module: Module, rules: frozenset[str], functions: Collection[str]) -> Names:
    """What names in a module stand for. Raises `Problem` for an import that hides another."""
    imports: dict[str, tuple[str, ...]] = {}
    for each in module.imports:
        if each.alias in imports:
            shown = ".".join(each.path)
            raise Problem(COMPILE, f"import must not shadow import {shown}", each.at)
        imports[each.alias] = each.path
    return Names(module.package, rules, imports, functions)


def resolved(rule: Rule, names: Names) -> Rule:
    """The rule with its names resolved. Raises `Problem`."""
    return _Resolver(names).rule(rule)


class _Scope:
    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self.declared: dict[str, Location] = {}
        """By `some`, and not used yet."""


class _Resolver:
    def __init__(self, names: Names) -> None:
        self._names = names
        self._scopes: list[_Scope] = []
        self._count = 0

    def rule(self, rule: Rule) -> Rule:
        if rule.name[0] in ROOTS:
            message = f"rules must not shadow {rule.name[0]} (use a different rule name)"
            raise Problem(COMPILE, message, rule.at)
        with self._scope() as outer:
            for arg in rule.args or ():
                for var in _variables(arg):
                    outer.names.setdefault(var.name, self._fresh(var.name))
            args = None if rule.args is None else self._all(rule.args)
            branches = []
            keys, element = rule.keys, rule.element
            for number, branch in enumerate(rule.branches):
                with self._scope():
                    body = self._body(branch.body)
                    branches.append(Branch(self.term(branch.value), body, branch.at))
                    if not number:
                        keys = self._all(rule.keys)
                        element = None if element is None else self.term(element)
        return replace(rule, args=args, keys=keys, element=element, branches=tuple(branches))

    # -- scopes --

    @contextmanager
    def _scope(self) -> Iterator[_Scope]:
        scope = _Scope()
        self._scopes.append(scope)
        yield scope
        self._scopes.pop()
        for name, at in scope.declared.items():
            raise Problem(COMPILE, f"declared var {name} unused", at)

    def _fresh(self, name: str) -> str:
        self._count += 1
        return f"{name}#{self._count}"

    def _declare(self, var: Var, *, by_some: bool = False) -> Var:
        scope = self._scopes[-1]
        if var.name.startswith("_#"):
            return var
        if var.name in scope.names:
            word = "declared" if by_some else "assigned"
            raise Problem(COMPILE, f"var {var.name} {word} above", var.at)
        scope.names[var.name] = self._fresh(var.name)
        return Var(scope.names[var.name], var.at)

    def _local(self, name: str) -> str | None:
        for scope in reversed(self._scopes):
            if name in scope.names:
                scope.declared.pop(name, None)
                return scope.names[name]
        return None

    # -- bodies --

    def _body(self, body: Iterable[Expr]) -> tuple[Expr, ...]:
        exprs = [self._expr(expr) for expr in body]
        return tuple(expr for expr in exprs if expr is not None)

    def _expr(self, expr: Expr) -> Expr | None:
        withs = tuple(self._with(each) for each in expr.withs)
        literal = self._literal(expr.literal)
        return None if literal is None else Expr(literal, expr.at, expr.negated, withs)

    def _literal(self, literal: Literal) -> Literal | None:
        match literal:
            case Holds():
                return Holds(self.term(literal.term))
            case Unify():
                right = self.term(literal.right)
                if literal.declares:
                    self._declare_pattern(literal.left)
                return Unify(self.term(literal.left), right)
            case SomeVars():
                for var in literal.names:
                    self._declare(var, by_some=True)
                    self._scopes[-1].declared[var.name] = var.at
                return None
            case SomeIn():
                domain = self.term(literal.domain)
                for each in present(literal.key, literal.value):
                    self._declare_pattern(each, again=True)
                key = None if literal.key is None else self.term(literal.key)
                return SomeIn(key, self.term(literal.value), domain)
            case Every():
                return self._every(literal)

    def _every(self, literal: Every) -> Every:
        domain = self.term(literal.domain)
        with self._scope():
            key = None if literal.key is None else self._declare(literal.key)
            value = self._declare(literal.value)
            with self._scope():
                return Every(key, value, domain, self._body(literal.body))

    def _declare_pattern(self, pattern: Term, *, again: bool = False) -> None:
        for var in _variables(pattern):
            if again:
                self._scopes[-1].names.pop(var.name, None)
            self._declare(var)

    def _with(self, each: With) -> With:
        name = _dotted(each.target)
        if not name or name.split(".")[0] in ROOTS:
            return With(self.term(each.target), self.term(each.value), each.at)
        full = self._function(name)
        if not full.startswith("data.") and full not in self._names.functions:
            raise Problem(TYPE, f"undefined function {name}", each.at)
        target = Call(full, (), each.at)
        function = self._function_named(each.value)
        if function:
            return With(target, Scalar(None, each.at), each.at, function)
        return With(target, self.term(each.value), each.at)

    def _function_named(self, value: Term) -> str:
        """The function that a term names; empty if it is a value."""
        name = _dotted(value)
        first = name.split(".")[0]
        if not name or self._local(first) is not None:
            return ""
        if name in self._names.functions:
            return name
        return self._full_name(name) if self._global(first) else ""

    # -- terms --

    def _all(self, terms: Iterable[Term]) -> tuple[Term, ...]:
        return tuple(self.term(each) for each in terms)

    def term(self, term: Term) -> Term:
        match term:
            case Scalar():
                return term
            case Var():
                return self._var(term)
            case RefTerm():
                head = self.term(term.head)
                path = self._all(term.path)
                if isinstance(head, RefTerm):
                    return RefTerm(head.head, (*head.path, *path), term.at)
                return RefTerm(head, path, term.at)
            case ArrayTerm():
                return ArrayTerm(self._all(term.items), term.at)
            case SetTerm():
                return SetTerm(self._all(term.items), term.at)
            case ObjectTerm():
                pairs = tuple((self.term(key), self.term(value)) for key, value in term.items)
                return ObjectTerm(pairs, term.at)
            case Comprehension():
                return self._comprehension(term)
            case Call():
                args = self._all(term.args)
                return Call(self._function(term.name), args, term.at)
            case TemplateString():
                parts = (each if isinstance(each, str) else self.term(each) for each in term.parts)
                return TemplateString(tuple(parts), term.at)

    def _comprehension(self, term: Comprehension) -> Comprehension:
        with self._scope():
            body = self._body(term.body)
            key = None if term.key is None else self.term(term.key)
            return Comprehension(term.kind, key, self.term(term.value), body, term.at)

    def _var(self, var: Var) -> Term:
        name = var.name
        local = self._local(name)
        if local is not None:
            return Var(local, var.at)
        if name in ROOTS:
            return RefTerm(var, (), var.at)
        path = self._global(name)
        if path:
            fields = tuple(Scalar(each, var.at) for each in path[1:])
            return RefTerm(Var(path[0], var.at), fields, var.at)
        return var

    def _global(self, name: str) -> tuple[str, ...]:
        if name in self._names.imports:
            return self._names.imports[name]
        if name in self._names.rules:
            return ("data", *self._names.package, name)
        return ()

    def _full_name(self, name: str) -> str:
        first, *rest = name.split(".")
        return ".".join((*self._global(first), *rest))

    def _function(self, name: str) -> str:
        """The full name; whether there is such a function is found out later."""
        first = name.split(".")[0]
        return self._full_name(name) if first != "data" and self._global(first) else name


def _variables(pattern: Term) -> Iterator[Var]:
    """The variables that a pattern binds."""
    match pattern:
        case Var():
            yield pattern
        case ArrayTerm():
            for item in pattern.items:
                yield from _variables(item)
        case ObjectTerm():
            for _, value in pattern.items:
                yield from _variables(value)


def _dotted(term: Term) -> str:
    """The name of a variable or of a constant reference; empty for others."""
    if isinstance(term, Var):
        return term.name
    if not isinstance(term, RefTerm) or not isinstance(term.head, Var):
        return ""
    words = [each.value for each in subterms(term) if isinstance(each, Scalar)]
    if len(words) < len(term.path) or not all(isinstance(word, str) for word in words):
        return ""
    return ".".join((term.head.name, *map(str, words)))
