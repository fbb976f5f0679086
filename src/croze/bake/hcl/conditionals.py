"""`condition ? a : b`: both sides have a value, and the result has a type that fits both."""

from __future__ import annotations

from croze.bake.hcl.evaluation import Evaluation
from croze.bake.hcl.scope import Scope
from croze.bake.hcl.source import Diagnostic
from croze.bake.hcl.syntax import Conditional, Expression
from croze.bake.values.convert import ConversionError, convert, to_bool
from croze.bake.values.relations import unify
from croze.bake.values.types import DYNAMIC, Type
from croze.bake.values.value import Value, unknown_of
from croze.gotypes.quote import quote

_INCONSISTENT = "Inconsistent conditional result types"


def conditional(evaluation: Evaluation, node: Conditional, scope: Scope) -> Value:
    """What `condition ? a : b` gives, of the type that both sides have in common. Problems of the
    side that is not taken don't count."""
    when_true, true_found = _apart(evaluation, node.when_true, scope)
    when_false, false_found = _apart(evaluation, node.when_false, scope)
    result = _common_type(when_true, when_false)
    if result is None:
        why = _mismatch(when_true.type, when_false.type)
        detail = f"The true and false result expressions must have consistent types. {why}."
        subject = node.when_true.range.to(node.when_false.range)
        return evaluation.error(_INCONSISTENT, detail, subject)
    chosen = _condition(evaluation, node, scope)
    if chosen is None:
        return unknown_of(result)
    evaluation.problems.extend(true_found if chosen else false_found)
    value, side = (when_true, node.when_true) if chosen else (when_false, node.when_false)
    try:
        return value if result.kind == "dynamic" else convert(value, result)
    except ConversionError as error:
        name = "true" if chosen else "false"
        detail = f"The {name} result value has the wrong type: {error}."
        evaluation.error(_INCONSISTENT, detail, side.range)
        return unknown_of(result)


def _apart(
    evaluation: Evaluation, node: Expression, scope: Scope
) -> tuple[Value, list[Diagnostic]]:
    """The value, and its problems, which count only if this side is chosen."""
    outer, evaluation.problems = evaluation.problems, []
    value = evaluation.evaluate(node, scope)
    problems, evaluation.problems = evaluation.problems, outer
    return value, problems


def _common_type(when_true: Value, when_false: Value) -> Type | None:
    if when_true.is_null and when_true.kind == "dynamic":
        return when_false.type
    if when_false.is_null and when_false.kind == "dynamic":
        return when_true.type
    if "dynamic" in (when_true.kind, when_false.kind):
        return DYNAMIC
    if when_true.kind == when_false.kind and when_true.type.is_primitive:
        return when_true.type
    return unify([when_true.type, when_false.type], unsafe=True)


def _condition(evaluation: Evaluation, node: Conditional, scope: Scope) -> bool | None:
    condition = evaluation.evaluate(node.condition, scope)
    if condition.is_null:
        detail = "The condition value is null. Conditions must either be true or false."
        evaluation.error("Null condition", detail, node.condition.range)
        return None
    if not condition.is_known:
        return None
    try:
        return to_bool(condition).is_true
    except ConversionError:
        detail = "The condition expression must be of type bool."
        evaluation.error("Incorrect condition type", detail, node.condition.range)
        return None


def _mismatch(left: Type, right: Type) -> str:
    if left.kind == right.kind == "object":
        mismatch = _object_mismatch(left, right)
    elif left.kind == right.kind == "tuple":
        mismatch = _tuple_mismatch(left, right)
    elif left.kind == right.kind and left.is_collection:
        structural = left.element.kind == right.element.kind in ("object", "tuple")
        inner = _mismatch(left.element, right.element) if structural else ""
        mismatch = f"Mismatched {left.kind} element types: {inner}" if structural else ""
    else:
        mismatch = ""
    if mismatch:
        return mismatch
    if left.name() == right.name():
        return (
            "At least one deeply-nested attribute or element is not compatible "
            "across both the 'true' and "
            "the 'false' value"
        )
    return f"The 'true' value is {left.name()}, but the 'false' value is {right.name()}"


def _object_mismatch(left: Type, right: Type) -> str:
    absent = "The '{0}' value includes object attribute {1}, which is absent in the '{2}' value"
    for name in sorted(left.attributes):
        if name not in right.attributes:
            return absent.format("true", quote(name), "false")
        ours, theirs = left.attributes[name], right.attributes[name]
        if ours != theirs:
            return f"Type mismatch for object attribute {quote(name)}: {_mismatch(ours, theirs)}"
    for name in sorted(right.attributes.keys() - left.attributes.keys()):
        return absent.format("false", quote(name), "true")
    return ""


def _tuple_mismatch(left: Type, right: Type) -> str:
    ours, theirs = len(left.elements), len(right.elements)
    if ours != theirs:
        return f"The 'true' tuple has length {ours}, but the 'false' tuple has length {theirs}"
    for index, (a, b) in enumerate(zip(left.elements, right.elements, strict=True)):
        if a != b:
            return f"Type mismatch for tuple element {index}: {_mismatch(a, b)}"
    return ""
