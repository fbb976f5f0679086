"""`for` expressions and splats."""

from __future__ import annotations

from collections.abc import Iterable

from croze.bake.hcl.evaluation import Evaluation
from croze.bake.hcl.scope import Scope
from croze.bake.hcl.syntax import Expression, For, Splat
from croze.bake.values.convert import ConversionError, to_bool, to_string
from croze.bake.values.types import DYNAMIC, Type, list_of, tuple_of
from croze.bake.values.value import (
    DYNAMIC_VALUE,
    Value,
    all_same_type,
    list_value,
    object_value,
    tuple_value,
    unknown_of,
)
from croze.gotypes.quote import quote

_INVALID_CONDITION = "Invalid 'for' condition"
_NULL_CONDITION = "The value of the 'if' clause must not be null."
_INVALID_KEY = "Invalid object key"


def loop(evaluation: Evaluation, node: For, scope: Scope) -> Value:
    """What a `for` expression makes of its collection: a tuple, or an object. Problems are noted in
    `evaluation`, and the value is unknown then."""
    collection = evaluation.evaluate(node.collection, scope)
    if collection.is_null:
        detail = "A null value cannot be used as the collection in a 'for' expression."
        return evaluation.error("Iteration over null value", detail, node.collection.range)
    if collection.kind == "dynamic":
        return DYNAMIC_VALUE
    if not (collection.is_sequence or collection.is_mapping):
        detail = (
            f"A value of type {collection.type.name()} cannot be used as the collection in a 'for' "
        )
        detail += "expression."
        return evaluation.error("Iteration over non-iterable value", detail, node.collection.range)
    if node.condition is not None and not _try_condition(evaluation, node, node.condition, scope):
        return DYNAMIC_VALUE
    if not collection.is_known:
        return DYNAMIC_VALUE
    return _Loop(evaluation, node, scope).run(collection)


def _names(node: For, key: Value, value: Value) -> dict[str, Value]:
    names = {node.key_name: key} if node.key_name else {}
    names[node.value_name] = value
    return names


def _try_condition(evaluation: Evaluation, node: For, condition: Expression, scope: Scope) -> bool:
    """Whether the condition can work at all: tried once with names that stand for anything."""
    mark = len(evaluation.problems)
    names = _names(node, DYNAMIC_VALUE, DYNAMIC_VALUE)
    result = evaluation.evaluate(condition, scope.child(names))
    if result.is_null:
        evaluation.error("Condition is null", _NULL_CONDITION, condition.range)
        return False
    try:
        to_bool(result)
    except ConversionError as error:
        detail = f"The 'if' clause value is invalid: {error}."
        evaluation.error(_INVALID_CONDITION, detail, condition.range)
        return False
    return len(evaluation.problems) == mark


class _Loop:
    """The iteration proper. Once it is clear that there will be no result, some problems are not
    told."""

    def __init__(self, evaluation: Evaluation, node: For, scope: Scope) -> None:
        self.evaluation = evaluation
        self.node = node
        self.scope = scope
        self.known = True
        self.items: list[Value] = []
        self.fields: dict[str, Value] = {}
        self.groups: dict[str, list[Value]] = {}

    def run(self, collection: Value) -> Value:
        node = self.node
        for key, value in collection.elements():
            inner = self.scope.child(_names(node, key, value))
            if node.condition is not None and not self._included(node.condition, inner):
                continue
            if node.key is None:
                self.items.append(self.evaluation.evaluate(node.value, inner))
            else:
                self._member(node.key, inner)
        if not self.known:
            return DYNAMIC_VALUE
        if node.key is None:
            return tuple_value(self.items)
        if node.group:
            return object_value({name: tuple_value(each) for name, each in self.groups.items()})
        return object_value(self.fields)

    def _give_up(self, summary: str, detail: str, where: Expression) -> None:
        if self.known:
            self.evaluation.error(summary, detail, where.range)
        self.known = False

    def _included(self, condition: Expression, inner: Scope) -> bool:
        result = self.evaluation.evaluate(condition, inner)
        if result.is_null:
            self._give_up(_INVALID_CONDITION, _NULL_CONDITION, condition)
            return False
        if not result.is_known:
            self.known = False
            return False
        try:
            return to_bool(result).is_true
        except ConversionError as error:
            detail = f"The 'if' clause value is invalid: {error}."
            self._give_up(_INVALID_CONDITION, detail, condition)
            return False

    def _member(self, key_node: Expression, inner: Scope) -> None:
        key = self.evaluation.evaluate(key_node, inner)
        if key.is_null:
            detail = "Key expression in 'for' expression must not produce a null value."
            self._give_up(_INVALID_KEY, detail, key_node)
            return
        if not key.is_known:
            self.known = False
            return
        try:
            name = to_string(key).text
        except ConversionError as error:
            detail = f"The key expression produced an invalid result: {error}."
            self._give_up(_INVALID_KEY, detail, key_node)
            return
        value = self.evaluation.evaluate(self.node.value, inner)
        if self.node.group:
            self.groups.setdefault(name, []).append(value)
        elif name not in self.fields:
            self.fields[name] = value
        else:
            detail = (
                f"Two different items produced the key {quote(name)} in this 'for' expression. If "
                "duplicates are expected, use the ellipsis (...) after the value "
                "expression to enable "
                "grouping by key."
            )
            self.evaluation.error("Duplicate object key", detail, key_node.range)


def splat(evaluation: Evaluation, node: Splat, scope: Scope) -> Value:
    """What `source[*].each` makes of a sequence; a single value counts as a sequence of one, and
    null as an empty one. Problems are noted in `evaluation`, and the value is unknown then."""
    mark = len(evaluation.problems)
    source = evaluation.evaluate(node.source, scope)
    if len(evaluation.problems) > mark or (source.kind == "dynamic" and not source.is_known):
        return DYNAMIC_VALUE
    if source.is_null:
        if not source.is_sequence:
            return tuple_value(())
        detail = "Splat expressions (with the * symbol) cannot be applied to null sequences."
        return evaluation.error("Splat of null value", detail, node.source.range)
    could_be_null = not (source.is_sequence or source.is_known)
    if not source.is_sequence:
        source = tuple_value((source,))
    if not source.is_known:
        return unknown_of(_splat_type(evaluation, node, scope, source.type))
    values = _each(evaluation, node, scope, source.items)
    if could_be_null:
        return DYNAMIC_VALUE
    if len(evaluation.problems) > mark:
        problems = list(evaluation.problems)
        missing = unknown_of(_splat_type(evaluation, node, scope, source.type))
        evaluation.problems[:] = problems
        return missing
    if source.kind == "tuple":
        return tuple_value(values)
    if not all_same_type(values):
        detail = (
            "The second level of splat expression produced elements of different "
            "types, so it isn't "
            "possible to construct a valid list to represent the top-level "
            "result.\n\nConsider using a "
            "for expression instead, to produce a tuple-typed result which can therefore have "
            "non-homogenous element types."
        )
        return evaluation.error("Invalid nested splat expressions", detail, node.each.range)
    return list_value(values, DYNAMIC)


def _each(evaluation: Evaluation, node: Splat, scope: Scope, items: Iterable[Value]) -> list[Value]:
    values: list[Value] = []
    for item in items:
        scope.items[node.item] = item
        values.append(evaluation.evaluate(node.each, scope))
    scope.items.pop(node.item, None)
    return values


def _splat_type(evaluation: Evaluation, node: Splat, scope: Scope, source: Type) -> Type:
    """The type of a splat whose elements are missing: what is around it is checked against that."""
    is_tuple = source.kind == "tuple"
    elements = source.elements if is_tuple else (source.element,)
    types = [each.type for each in _each(evaluation, node, scope, map(unknown_of, elements))]
    return tuple_of(types) if is_tuple else list_of(types[0])
