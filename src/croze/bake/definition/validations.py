"""`validation` blocks of variables."""

from __future__ import annotations

from collections.abc import Iterable

from croze.bake.definition.declarations import Validation, VariableBlock
from croze.bake.hcl.evaluate import Evaluator
from croze.bake.hcl.scope import Scope
from croze.bake.hcl.source import Diagnostic, HclError, SourceRange
from croze.bake.hcl.syntax import Expression, Literal
from croze.bake.values.convert import ConversionError, to_bool
from croze.bake.values.value import NULL

_RESULT = "Invalid condition result"


def check_variables(variables: Iterable[VariableBlock], scope: Scope) -> None:
    """HclError with every condition that does not hold."""
    problems: list[Diagnostic] = []
    for variable in variables:
        for each in variable.validations:
            _check(each, scope, problems)
    if problems:
        raise HclError(problems)


def _check(validation: Validation, scope: Scope, problems: list[Diagnostic]) -> None:
    condition = _or_null(validation.condition, validation.where)
    where = condition.range
    mark = len(problems)
    result = Evaluator(problems).evaluate(condition, scope)
    if len(problems) > mark:
        return
    if result.is_null:
        detail = "Condition expression must return either true or false, not null."
        problems.append(Diagnostic(_RESULT, detail, where))
        return
    try:
        holds = to_bool(result).is_true
    except ConversionError as error:
        detail = f"Invalid condition result value: {error}"
        problems.append(Diagnostic(_RESULT, detail, where))
        return
    if not holds:
        _tell(_or_null(validation.error_message, validation.where), where, scope, problems)


def _or_null(expression: Expression | None, where: SourceRange) -> Expression:
    return Literal(NULL, where) if expression is None else expression


def _tell(
    message: Expression, where: SourceRange, scope: Scope, problems: list[Diagnostic]
) -> None:
    mark = len(problems)
    value = Evaluator(problems).evaluate(message, scope)
    if len(problems) > mark:
        return
    text = value.raw if isinstance(value.raw, str) else None
    detail = "This check failed, but has an invalid error message." if text is None else text
    problems.append(Diagnostic("Validation failed", detail, where))
