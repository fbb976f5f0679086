"""Values of JSON files to values."""

from __future__ import annotations

from croze.bake.hcl.bodies import parse_template
from croze.bake.hcl.evaluation import Evaluation
from croze.bake.hcl.json_syntax import JsonArray, JsonObject, JsonString
from croze.bake.hcl.scope import Scope
from croze.bake.hcl.source import SourceRange
from croze.bake.hcl.syntax import Expression
from croze.bake.values.convert import ConversionError, to_string
from croze.bake.values.value import DYNAMIC_VALUE, Value, object_value, tuple_value
from croze.gotypes.quote import quote

_INVALID_KEY = "Invalid object key expression"


def template_of(node: JsonString) -> Expression | None:
    """The template a string is, parsed once; None if it is none, with the reasons in `problems`."""
    if node.template is None and not node.problems:
        parsed = parse_template(node.text, node.range.filename, node.inner_start, node.problems)
        node.template = None if node.problems else parsed
    return node.template


def evaluate_json(
    evaluation: Evaluation, node: JsonString | JsonArray | JsonObject, scope: Scope
) -> Value:
    """What an expression in HCL's JSON form gives: texts are templates, and so are names of
    members."""
    match node:
        case JsonString():
            template = template_of(node)
            if template is None:
                evaluation.problems.extend(node.problems)
                return DYNAMIC_VALUE
            return evaluation.evaluate(template, scope)
        case JsonArray():
            return tuple_value([evaluation.evaluate(each, scope) for each in node.items])
    return _object(evaluation, node, scope)


def _object(evaluation: Evaluation, node: JsonObject, scope: Scope) -> Value:
    fields: dict[str, Value] = {}
    ranges: dict[str, SourceRange] = {}
    is_known = True
    for member in node.members:
        key = evaluation.evaluate(member.key, scope)
        value = evaluation.evaluate(member.value, scope)
        try:
            name = to_string(key)
        except ConversionError as error:
            detail = f"Cannot use this expression as an object key: {error}."
            evaluation.error(_INVALID_KEY, detail, member.name_range)
            continue
        if name.is_null:
            detail = "Cannot use null value as an object key."
            evaluation.error(_INVALID_KEY, detail, member.name_range)
        elif not name.is_known:
            is_known = False
        elif name.text in fields:
            detail = (
                f"An attribute named {quote(name.text)} was already defined at {ranges[name.text]}."
            )
            evaluation.error("Duplicate object attribute", detail, member.name_range)
        else:
            fields[name.text] = value
            ranges[name.text] = member.name_range
    return object_value(fields) if is_known else DYNAMIC_VALUE
