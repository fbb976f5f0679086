"""Terms that are values, whatever the rules and the input are."""

from __future__ import annotations

from croze.rego.syntax import ArrayTerm, ObjectTerm, Scalar, SetTerm, Term
from croze.rego.unknowns import MISSING, Missing
from croze.rego.values import Object, Value


def constant(term: Term) -> Value | Missing:
    """The value of a term that is always the same; `MISSING` if it depends on anything."""
    match term:
        case Scalar():
            return term.value
        case ArrayTerm():
            items = _all(term.items)
            return MISSING if items is None else tuple(items)
        case SetTerm():
            items = _all(term.items)
            return MISSING if items is None else frozenset(items)
        case ObjectTerm():
            flat = _all(tuple(each for pair in term.items for each in pair))
            return MISSING if flat is None else Object(zip(flat[::2], flat[1::2], strict=True))
    return MISSING


def _all(terms: tuple[Term, ...]) -> list[Value] | None:
    values: list[Value] = []
    for term in terms:
        value = constant(term)
        if isinstance(value, Missing):
            return None
        values.append(value)
    return values
