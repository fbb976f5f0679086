"""Function calls."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from croze.bake.hcl.evaluation import Evaluation
from croze.bake.hcl.function import ArgumentError, CallError, Function, Parameter
from croze.bake.hcl.scope import Scope
from croze.bake.hcl.source import Diagnostic, HclError, did_you_mean, suggestion
from croze.bake.hcl.syntax import Expression, FunctionCall, Literal
from croze.bake.values.convert import ConversionError, convert
from croze.bake.values.value import DYNAMIC_VALUE, Value, unknown_of
from croze.gotypes.quote import quote

_UNKNOWN = "Call to unknown function"
_EXPANDING = "Invalid expanding argument value"


def call(evaluation: Evaluation, node: FunctionCall, scope: Scope) -> Value:
    """What a function call gives. Problems are noted in `evaluation`, and the value is unknown
    then."""
    function = scope.function(node.name)
    if function is None:
        return _unknown_function(evaluation, node, scope)
    args = _expanded(evaluation, node, scope) if node.expand_last else node.args
    if args is None or not _check_count(evaluation, node, function, args):
        return DYNAMIC_VALUE
    try:
        if function.call_lazily is not None:
            closures = [_Closure(evaluation, each, scope) for each in args]
            return function.call_lazily(closures)
        values = _arguments(evaluation, function, args, scope)
        return DYNAMIC_VALUE if values is None else _invoke(function, values)
    except ArgumentError as error:
        return _bad_argument(evaluation, node, function, args, error)
    except HclError as error:
        if function.call_lazily is not None:
            evaluation.problems.extend(error.diagnostics)
            return DYNAMIC_VALUE
        detail = f"Call to function {quote(node.name)} failed: {error}."
        return evaluation.error("Error in function call", detail, node.start_range)
    except CallError as error:
        detail = f"Call to function {quote(node.name)} failed: {error}."
        return evaluation.error("Error in function call", detail, node.start_range)


class _Closure(Struct, frozen=True):
    """An argument that has not been evaluated."""

    evaluation: Evaluation
    expression: Expression
    scope: Scope

    def evaluate(self) -> tuple[Value, list[Diagnostic]]:
        outer, self.evaluation.problems = self.evaluation.problems, []
        value = self.evaluation.evaluate(self.expression, self.scope)
        problems, self.evaluation.problems = self.evaluation.problems, outer
        return value, problems


def _unknown_function(evaluation: Evaluation, node: FunctionCall, scope: Scope) -> Value:
    if scope.constant:
        detail = "Functions may not be called here."
        return evaluation.error("Function calls not allowed", detail, node.range)
    name, names = node.name, scope.function_names()
    namespace, colons, last = name.rpartition("::")
    if not colons:
        detail = f"There is no function named {quote(name)}.{did_you_mean(name, names)}"
    else:
        inside = [each for each in names if each.startswith(namespace + colons)]
        if not inside:
            detail = f"There are no functions in namespace {quote(namespace + colons)}."
        else:
            similar = suggestion(last, inside)
            hint = f" Did you mean {namespace}{colons}{similar}?" if similar else ""
            detail = (
                f"There is no function named {quote(last)} in namespace {namespace}{colons}.{hint}"
            )
    return evaluation.error(_UNKNOWN, detail, node.name_range)


def _expanded(evaluation: Evaluation, node: FunctionCall, scope: Scope) -> list[Expression] | None:
    """The arguments with the elements of the last one in its place."""
    last = node.args[-1]
    mark = len(evaluation.problems)
    value = evaluation.evaluate(last, scope)
    if len(evaluation.problems) > mark:
        return None
    if value.is_null and (value.is_sequence or value.kind == "dynamic"):
        detail = "The expanding argument (indicated by ...) must not be null."
        evaluation.error(_EXPANDING, detail, last.range)
        return None
    if not value.is_known:
        return None
    if not value.is_sequence:
        detail = "The expanding argument (indicated by ...) must be of a tuple, list, or set type."
        evaluation.error(_EXPANDING, detail, last.range)
        return None
    return [*node.args[:-1], *(Literal(each, last.range) for each in value.items)]


def _check_count(
    evaluation: Evaluation, node: FunctionCall, function: Function, args: Sequence[Expression]
) -> bool:
    count = len(function.parameters)
    if len(args) < count:
        least = " at least" if function.variadic is not None else ""
        missing = function.parameters[len(args)].name
        detail = f"Function {quote(node.name)} expects{least} {count} argument(s). "
        detail += f"Missing value for {quote(missing)}."
        evaluation.error("Not enough function arguments", detail, node.close_range)
        return False
    if len(args) > count and function.variadic is None:
        detail = f"Function {quote(node.name)} expects only {count} argument(s)."
        evaluation.error("Too many function arguments", detail, args[count].start_range)
        return False
    return True


def _arguments(
    evaluation: Evaluation, function: Function, args: Sequence[Expression], scope: Scope
) -> list[Value] | None:
    """The arguments' values, of the parameters' types; None if there were errors."""
    mark = len(evaluation.problems)
    values: list[Value] = []
    for index, each in enumerate(args):
        value = evaluation.evaluate(each, scope)
        parameter = function.parameter(index)
        assert parameter is not None
        try:
            values.append(convert(value, parameter.type))
        except ConversionError as error:
            _invalid(evaluation, parameter, error, each)
    return values if len(evaluation.problems) == mark else None


def _invalid(
    evaluation: Evaluation, parameter: Parameter, error: Exception, subject: Expression
) -> None:
    detail = f"Invalid value for {quote(parameter.name)} parameter: {error}."
    evaluation.error("Invalid function argument", detail, subject.start_range)


def _invoke(function: Function, values: Sequence[Value]) -> Value:
    unknown = False
    for index, value in enumerate(values):
        parameter = function.parameter(index)
        assert parameter is not None
        if value.is_null and not parameter.allow_null:
            raise ArgumentError(index, "argument must not be null")
        unknown = unknown or not (value.is_known or parameter.allow_unknown)
    if unknown or function.call is None:
        return unknown_of(function.returns)
    return function.call(values)


def _bad_argument(
    evaluation: Evaluation,
    node: FunctionCall,
    function: Function,
    args: Sequence[Expression],
    error: ArgumentError,
) -> Value:
    parameter = function.parameter(error.index)
    if parameter is None:
        detail = f"Call to function {quote(node.name)} failed: {error}."
        return evaluation.error("Error in function call", detail, node.start_range)
    detail = f"Invalid value for {quote(parameter.name)} parameter: {error}."
    subject = args[error.index].start_range if error.index < len(args) else node.range
    return evaluation.error("Invalid function argument", detail, subject)
