"""The syntax tree of a module."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from msgspec import Struct, field

from croze.rego.errors import Location
from croze.rego.values import Value


class Scalar(Struct, frozen=True):
    """A term that is a value: a number, a string, true, false or null."""

    value: Value
    at: Location


class Var(Struct, frozen=True):
    """A variable, or before names are resolved any name."""

    name: str
    at: Location

    @property
    def shown(self) -> str:
        """The name in the text, without what tells it from others of that name."""
        return self.name.partition("#")[0]


class RefTerm(Struct, frozen=True):
    """A path into a document: `head[path[0]][path[1]]…`."""

    head: Term
    path: tuple[Term, ...]
    at: Location


class ArrayTerm(Struct, frozen=True):
    items: tuple[Term, ...]
    at: Location


class SetTerm(Struct, frozen=True):
    items: tuple[Term, ...]
    at: Location


class ObjectTerm(Struct, frozen=True):
    items: tuple[tuple[Term, Term], ...]
    at: Location


class Comprehension(Struct, frozen=True):
    """An array, set or object of what a body finds."""

    kind: str
    key: Term | None
    """The keys of an object."""
    value: Term
    body: tuple[Expr, ...]
    at: Location


class Call(Struct, frozen=True):
    """A call of a function; operators are calls, too."""

    name: str
    """The name of a built-in function, or below `data` once it is resolved."""
    args: tuple[Term, ...]
    at: Location


class TemplateString(Struct, frozen=True):
    """A string with terms in it."""

    parts: tuple[str | Term, ...]
    at: Location


Term: TypeAlias = (
    Scalar
    | Var
    | RefTerm
    | ArrayTerm
    | SetTerm
    | ObjectTerm
    | Comprehension
    | Call
    | TemplateString
)


class Holds(Struct, frozen=True):
    """A term that must be neither false nor undefined."""

    term: Term


class Unify(Struct, frozen=True):
    """Two terms that must be equal: `=` or `:=`."""

    left: Term
    right: Term
    declares: bool = False
    """`:=`: the left side's variables are new ones."""


class SomeVars(Struct, frozen=True):
    """`some x, y`: names that are the body's own."""

    names: tuple[Var, ...]


class SomeIn(Struct, frozen=True):
    """`some key, value in domain`."""

    key: Term | None
    value: Term
    domain: Term


class Every(Struct, frozen=True):
    """`every key, value in domain { body }`."""

    key: Var | None
    value: Var
    domain: Term
    body: tuple[Expr, ...]


Literal: TypeAlias = Holds | Unify | SomeVars | SomeIn | Every


class With(Struct, frozen=True):
    """`with target as value`, in force for one expression."""

    target: Term
    """A reference, or a call without arguments: a function's name."""
    value: Term
    at: Location
    function: str = ""
    """The function that stands for a function."""


class Expr(Struct, frozen=True):
    """A line of a body: what must hold, perhaps negated, under its `with`s."""

    literal: Literal
    at: Location
    negated: bool = False
    withs: tuple[With, ...] = ()


class Branch(Struct, frozen=True):
    """A value and the body that it needs; a rule's `else` are further ones."""

    value: Term
    body: tuple[Expr, ...]
    at: Location


class Rule(Struct, frozen=True):
    name: tuple[str, ...]
    """The constant part of the head, below the package."""
    keys: tuple[Term, ...]
    """What follows in the head: keys of an object."""
    args: tuple[Term, ...] | None
    element: Term | None
    """What a set `contains`."""
    branches: tuple[Branch, ...]
    is_default: bool
    at: Location


class Import(Struct, frozen=True):
    path: tuple[str, ...]
    alias: str
    at: Location


class Module(Struct):
    file: str
    package: tuple[str, ...]
    """Below `data`."""
    imports: list[Import] = field(default_factory=list)
    rules: list[Rule] = field(default_factory=list)


def present(*terms: Term | None) -> list[Term]:
    """The terms that are there, without the None among them."""
    return [term for term in terms if term is not None]


def subterms(term: Term) -> Iterator[Term]:
    """The terms right below one; not those in bodies."""
    match term:
        case RefTerm():
            yield term.head
            yield from term.path
        case ArrayTerm() | SetTerm():
            yield from term.items
        case ObjectTerm():
            for key, value in term.items:
                yield key
                yield value
        case Call():
            yield from term.args
        case TemplateString():
            yield from (part for part in term.parts if not isinstance(part, str))


def terms_of(literal: Literal) -> Iterator[Term]:
    """The terms of a literal; not those in bodies."""
    match literal:
        case Holds():
            yield literal.term
        case Unify():
            yield literal.left
            yield literal.right
        case SomeVars():
            yield from literal.names
        case SomeIn():
            if literal.key is not None:
                yield literal.key
            yield literal.value
            yield literal.domain
        case Every():
            yield literal.domain
