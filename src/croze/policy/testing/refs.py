"""What a policy's rules look at, read off their text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping

from croze.rego.syntax import (
    Comprehension,
    Every,
    Expr,
    Module,
    RefTerm,
    Rule,
    Scalar,
    Term,
    Var,
    present,
    subterms,
    terms_of,
)
from croze.rego.values import to_plain

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MATERIALS = "image.provenance.materials["


def input_names(modules: Iterable[Module]) -> list[str]:
    """Names below `input`, two steps of each: `image.labels`."""
    names: dict[str, None] = {}
    for module in modules:
        for rule in module.rules:
            for term in _rule_terms(rule):
                names.update(dict.fromkeys(_names(term)))
    return list(names)


def missing(names: Iterable[str], plain: Mapping[str, object] | None) -> list[str]:
    """The names that an input doesn't have."""
    return [name for name in names if not _has(plain, name.split("."))]


def _has(plain: object, path: list[str]) -> bool:
    for name in path:
        if not isinstance(plain, Mapping) or name not in plain:
            return False
        plain = plain[name]
    return True


def _names(term: Term) -> Iterator[str]:
    if isinstance(term, RefTerm) and isinstance(term.head, Var) and term.head.name == "input":
        yield _trimmed("".join(map(_step, term.path)).lstrip("."))
    elif isinstance(term, Var) and term.name == "input":
        yield "input"
    for inner in subterms(term):
        if not (isinstance(term, RefTerm) and inner is term.head):
            yield from _names(inner)
    if isinstance(term, Comprehension):
        for each in (*present(term.key, term.value), *_body_terms(term.body)):
            yield from _names(each)


def _step(part: Term) -> str:
    if isinstance(part, Scalar):
        value = part.value
        if isinstance(value, str) and _NAME.fullmatch(value):
            return f".{value}"
        return f"[{json.dumps(to_plain(value))}]"
    return f"[{part.shown}]" if isinstance(part, Var) else "[_]"


def _trimmed(name: str) -> str:
    if name.startswith(_MATERIALS):
        return name
    ends = [match.start() for match in re.finditer(r"[.\[]", name)]
    return name[: ends[1]] if len(ends) > 1 else name


def _rule_terms(rule: Rule) -> Iterator[Term]:
    yield from (*rule.keys, *(rule.args or ()), *present(rule.element))
    for branch in rule.branches:
        yield branch.value
        yield from _body_terms(branch.body)


def _body_terms(body: Iterable[Expr]) -> Iterator[Term]:
    for expr in body:
        yield from terms_of(expr.literal)
        for each in expr.withs:
            yield each.target
            yield each.value
        if isinstance(expr.literal, Every):
            yield from _body_terms(expr.literal.body)
