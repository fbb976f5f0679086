"""The local variables of terms and bodies."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from croze.rego.syntax import Comprehension, Every, Expr, Term, Var, present, subterms, terms_of

ROOTS = frozenset({"input", "data"})
"""The documents that every module can name."""


def variables(term: Term) -> Iterator[str]:
    """All local variables in a term, those in bodies, too."""
    if isinstance(term, Var):
        if term.name not in ROOTS:
            yield term.name
    elif isinstance(term, Comprehension):
        for inner in present(term.key, term.value):
            yield from variables(inner)
        yield from body_variables(term.body)
    else:
        for inner in subterms(term):
            yield from variables(inner)


def body_variables(body: Iterable[Expr]) -> Iterator[str]:
    for expr in body:
        for term in terms_of(expr.literal):
            yield from variables(term)
        for each in expr.withs:
            yield from variables(each.value)
        if isinstance(expr.literal, Every):
            yield from body_variables(expr.literal.body)
