"""Variable and function blocks, before anything in them is evaluated."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct, field

from croze.bake.hcl.content import AnyBlock, AnyBody, BodySchema
from croze.bake.hcl.evaluate import Evaluator
from croze.bake.hcl.json_syntax import JsonString
from croze.bake.hcl.scope import Scope
from croze.bake.hcl.source import Diagnostic, SourceRange
from croze.bake.hcl.syntax import Attribute, Expression
from croze.bake.hcl.type_constraints import type_constraint
from croze.bake.values.convert import ConversionError, convert
from croze.bake.values.types import DYNAMIC, STRING, Type

_TOP = BodySchema(blocks={"variable": ("name",), "function": ("name",)})
_VARIABLE = BodySchema({"type": False, "default": False, "description": False}, {"validation": ()})
_FUNCTION = BodySchema({"params": False, "variadic_params": False, "result": False}, strict=True)
_VALIDATION = BodySchema({"condition": False, "error_message": False}, strict=True)
_CONSTANT = Scope({}, {}, constant=True)


class Validation(Struct, frozen=True):
    condition: Expression | None
    error_message: Expression | None
    where: SourceRange


class VariableBlock(Struct):
    name: str
    type: Expression | None
    default: Attribute | None
    description: str
    validations: list[Validation]
    missing_range: SourceRange
    constraint: Type | None = None
    """The type, once it has been read and if there is one."""


class FunctionBlock(Struct, frozen=True):
    name: str
    params: Attribute | None
    variadic: Attribute | None
    result: Attribute | None
    name_range: SourceRange


class Declarations(Struct):
    variables: dict[str, VariableBlock] = field(default_factory=dict)
    functions: dict[str, FunctionBlock] = field(default_factory=dict)


def read_declarations(
    bodies: Sequence[AnyBody], reserved: frozenset[str], problems: list[Diagnostic]
) -> Declarations:
    """The variables and functions of all files; of two with one name the later counts."""
    declared = Declarations()
    for body in bodies:
        for block in body.content(_TOP, problems).blocks:
            name = block.labels[0]
            if block.type == "variable":
                variable = _variable(block, problems)
                if name not in reserved:
                    declared.variables[name] = variable
            else:
                function = _function(block, problems)
                if name not in reserved:
                    declared.functions[name] = function
    return declared


def _variable(block: AnyBlock, problems: list[Diagnostic]) -> VariableBlock:
    content = block.body.content(_VARIABLE, problems)
    type_ = content.attributes.get("type")
    validations = [_validation(each.body, problems) for each in content.blocks]
    return VariableBlock(
        block.labels[0],
        None if type_ is None else type_.expression,
        content.attributes.get("default"),
        _description(content.attributes.get("description"), problems),
        validations,
        block.body.missing_range,
    )


def _validation(body: AnyBody, problems: list[Diagnostic]) -> Validation:
    attributes = body.content(_VALIDATION, problems).attributes
    condition, message = attributes.get("condition"), attributes.get("error_message")
    return Validation(
        None if condition is None else condition.expression,
        None if message is None else message.expression,
        body.missing_range,
    )


def _description(attribute: Attribute | None, problems: list[Diagnostic]) -> str:
    if attribute is None:
        return ""
    expression = attribute.expression
    if isinstance(expression, JsonString):
        return expression.text
    value = Evaluator(problems).evaluate(expression, _CONSTANT)
    try:
        converted = convert(value, STRING)
        if not converted.is_known:
            raise ConversionError("value must be known")
        if converted.is_null:
            raise ConversionError("null value is not allowed")
    except ConversionError as error:
        detail = f"Unsuitable value: {error}"
        problems.append(Diagnostic("Unsuitable value type", detail, expression.start_range))
        return ""
    return converted.text


def _function(block: AnyBlock, problems: list[Diagnostic]) -> FunctionBlock:
    attributes = block.body.content(_FUNCTION, problems).attributes
    return FunctionBlock(
        block.labels[0],
        attributes.get("params"),
        attributes.get("variadic_params"),
        attributes.get("result"),
        block.label_ranges[0],
    )


def read_constraint(variable: VariableBlock, problems: list[Diagnostic]) -> Type:
    """The type that a variable says it has; the dynamic one if it says nothing."""
    if variable.type is None:
        return DYNAMIC
    wrong: list[Diagnostic] = []
    constraint = type_constraint(variable.type, wrong)
    if wrong:
        ignored: list[Diagnostic] = []
        value = Evaluator(ignored).evaluate(variable.type, _CONSTANT)
        if not ignored and value.is_null:
            return DYNAMIC
        problems.extend(wrong)
    return constraint
