"""Which variables and functions an expression needs, without evaluating it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from croze.bake.hcl.json_evaluate import template_of
from croze.bake.hcl.json_syntax import JsonArray, JsonObject, JsonString
from croze.bake.hcl.syntax import (
    Binary,
    Call,
    Conditional,
    Expression,
    For,
    Join,
    Literal,
    Lookup,
    Object,
    ObjectKey,
    Parentheses,
    Relative,
    Splat,
    Template,
    Tuple,
    Unary,
    Variable,
    Wrapped,
    keyword,
)


@dataclass(slots=True)
class References:
    """Names of functions, and variables with their steps, in the order they are written."""

    functions: list[str] = field(default_factory=list)
    variables: list[Variable] = field(default_factory=list)


def references(expression: Expression) -> References:
    found = References()
    _walk(expression, frozenset(), found)
    return found


def _walk(root: Expression, local: frozenset[str], found: References) -> None:
    """Down all branches but that of `for`, which brings names of its own, without recursion."""
    waiting: list[tuple[Expression, frozenset[str]]] = [(root, local)]
    while waiting:
        node, local = waiting.pop()
        if isinstance(node, Literal):
            continue
        if isinstance(node, Variable):
            if node.name not in local:
                found.variables.append(node)
            continue
        if isinstance(node, Call):
            found.functions.append(node.name)
        if isinstance(node, For):
            names = local.union(name for name in (node.key_name, node.value_name) if name)
            inner = (node.condition, node.value, node.key)
            waiting.extend((part, names) for part in inner if part is not None)
            waiting.append((node.collection, local))
            continue
        waiting.extend((child, local) for child in reversed(list(_children(node))))


def _children(node: Expression) -> Iterator[Expression]:
    """The parts of an expression that bring no names."""
    match node:
        case Template():
            yield from node.parts
        case Tuple():
            yield from node.items
        case Object():
            for key, value in node.items:
                yield key
                yield value
        case ObjectKey():
            if not keyword(node.wrapped):
                yield node.wrapped
        case Call():
            yield from node.args
        case Wrapped() | Parentheses():
            yield node.inner
        case Relative():
            yield node.source
        case Conditional():
            yield from (node.condition, node.when_true, node.when_false)
        case Binary():
            yield from (node.left, node.right)
        case Unary():
            yield node.operand
        case Splat():
            yield from (node.source, node.each)
        case Lookup():
            yield from (node.collection, node.key)
        case Join():
            yield node.loop
        case JsonString() | JsonArray() | JsonObject():
            yield from _json_children(node)


def _json_children(node: JsonString | JsonArray | JsonObject) -> Iterator[Expression]:
    match node:
        case JsonString():
            template = template_of(node)
            if template is not None:
                yield template
        case JsonArray():
            yield from node.items
        case JsonObject():
            for member in node.members:
                yield member.key
                yield member.value
