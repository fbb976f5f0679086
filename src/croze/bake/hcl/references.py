"""Which variables and functions an expression needs, without evaluating it."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct, field

from croze.bake.hcl.json_evaluate import template_of
from croze.bake.hcl.json_syntax import JsonArray, JsonObject, JsonString
from croze.bake.hcl.syntax import (
    Binary,
    Conditional,
    Expression,
    For,
    FunctionCall,
    Join,
    Literal,
    Lookup,
    ObjectExpression,
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


class ExpressionReferences(Struct):
    """Names of functions, and variables with their steps, in the order they are written."""

    functions: list[str] = field(default_factory=list)
    variables: list[Variable] = field(default_factory=list)


def references(expression: Expression) -> ExpressionReferences:
    gathered = ExpressionReferences()
    _walk(expression, gathered)
    return gathered


def _walk(root: Expression, gathered: ExpressionReferences) -> None:
    """Down all branches but that of `for`, which brings names of its own, without recursion."""
    waiting: list[tuple[Expression, frozenset[str]]] = [(root, frozenset())]
    while waiting:
        node, local = waiting.pop()
        if isinstance(node, Variable):
            if node.name not in local:
                gathered.variables.append(node)
            continue
        if isinstance(node, FunctionCall):
            gathered.functions.append(node.name)
        elif isinstance(node, For):
            names = local.union(name for name in (node.key_name, node.value_name) if name)
            inner = (node.condition, node.value, node.key)
            waiting.extend((part, names) for part in inner if part is not None)
            waiting.append((node.collection, local))
            continue
        for child in reversed(_children(node)):
            if not (
                isinstance(child, Literal) or (isinstance(child, Template) and child.is_literal)
            ):
                waiting.append((child, local))


def _children(node: Expression) -> Sequence[Expression]:
    """The parts of an expression that bring no names."""
    match node:
        case Template():
            return node.parts
        case ObjectExpression():
            return [part for item in node.items for part in item if not _is_name(part)]
        case Tuple():
            return node.items
        case FunctionCall():
            return node.args
        case ObjectKey():
            return [] if _is_name(node) else [node.wrapped]
        case Wrapped() | Parentheses():
            return [node.inner]
        case Relative():
            return [node.source]
        case Conditional():
            return [node.condition, node.when_true, node.when_false]
        case Binary():
            return [node.left, node.right]
        case Unary():
            return [node.operand]
        case Splat():
            return [node.source, node.each]
        case Lookup():
            return [node.collection, node.key]
        case Join():
            return [node.loop]
        case JsonString() | JsonArray() | JsonObject():
            return _json_children(node)
    return []


def _is_name(node: Expression) -> bool:
    """Whether it is the key of an object and just a name."""
    return isinstance(node, ObjectKey) and bool(keyword(node.wrapped))


def _json_children(node: JsonString | JsonArray | JsonObject) -> Sequence[Expression]:
    match node:
        case JsonString():
            template = template_of(node)
            return [] if template is None else [template]
        case JsonArray():
            return node.items
        case JsonObject():
            return [part for member in node.members for part in (member.key, member.value)]
