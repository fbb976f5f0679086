"""Functions that look at their arguments before these are evaluated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from croze.bake.hcl.function import (
    ArgumentError,
    CallError,
    Closure,
    Function,
    LazyImplementation,
    Parameter,
)
from croze.bake.hcl.source import Diagnostic, HclError
from croze.bake.hcl.type_constraints import type_constraint
from croze.bake.values.convert import ConversionError, convert
from croze.bake.values.types import BOOL, CLOSURE, DYNAMIC, Type
from croze.bake.values.value import DYNAMIC_VALUE, Value, boolean, unknown_of


def _try(args: Sequence[Closure]) -> Value:
    if not args:
        raise CallError("at least one argument is required")
    problems: list[Diagnostic] = []
    for each in args:
        value, errors = each.evaluate()
        if not errors:
            return value if value.is_wholly_known else DYNAMIC_VALUE
        problems.extend(errors)
    lines = ["no expression succeeded:"]
    for problem in problems:
        where = f" (at {problem.subject})" if problem.subject else ""
        lines += f"- {problem.summary}{where}", f"  {problem.detail}"
    lines += "", "At least one expression must produce a successful result"
    raise CallError("\n".join(lines))


def _can(args: Sequence[Closure]) -> Value:
    value, problems = args[0].evaluate()
    if problems:
        return boolean(False)
    return boolean(True) if value.is_wholly_known else unknown_of(BOOL)


def _convert(args: Sequence[Closure]) -> Value:
    value, errors = args[0].evaluate()
    problems = list(errors)
    want = type_constraint(args[1].expression, problems)
    if problems:
        raise HclError(problems)
    try:
        return convert(value, want)
    except ConversionError as error:
        raise ArgumentError(0, str(error)) from None


def _lazy(
    call: LazyImplementation,
    *names: str,
    returns: Type = DYNAMIC,
    variadic: Parameter | None = None,
) -> Function:
    parameters = tuple(Parameter(name, CLOSURE) for name in names)
    return Function(parameters, returns, None, variadic, call)


FUNCTIONS: Final[Mapping[str, Function]] = {
    "can": _lazy(_can, "expression", returns=BOOL),
    "convert": _lazy(_convert, "value", "type"),
    "try": _lazy(_try, variadic=Parameter("expressions", CLOSURE)),
}
