"""Types as they are written: `list(string)`, `object({ a = optional(number) })`."""

from __future__ import annotations

from typing import Final

from croze.bake.hcl.bodies import parse_expression
from croze.bake.hcl.json_syntax import JsonString
from croze.bake.hcl.source import Diagnostic, SourceRange
from croze.bake.hcl.syntax import (
    Expression,
    FunctionCall,
    ObjectExpression,
    ObjectKey,
    Tuple,
    keyword,
)
from croze.bake.values.types import (
    BOOL,
    DYNAMIC,
    NUMBER,
    STRING,
    Type,
    list_of,
    map_of,
    object_of,
    set_of,
    tuple_of,
)
from croze.gotypes.quote import quote

_PRIMITIVE: Final = {"bool": BOOL, "string": STRING, "number": NUMBER}
_COLLECTIONS: Final = {"list": list_of, "set": set_of, "map": map_of}
_ARGUMENT: Final = {
    **dict.fromkeys(("list", "map", "set"), "specifying the element type"),
    "object": "specifying the attribute types and values as a map",
    "tuple": "specifying the element types as a list",
}


def static(expression: Expression) -> Expression:
    """The expression itself; for a string of a JSON file, the expression that its text is."""
    if not isinstance(expression, JsonString):
        return expression
    problems: list[Diagnostic] = []
    where = expression.range
    parsed = parse_expression(expression.text, where.filename, where.start, problems)
    return expression if problems else parsed


def static_keyword(expression: Expression) -> str:
    return keyword(static(expression))


def type_constraint(expression: Expression, problems: list[Diagnostic]) -> Type:
    """The type; the dynamic one with a diagnostic if it is none."""
    return _TypeReader(problems).read(expression)


class _TypeReader:
    def __init__(self, problems: list[Diagnostic]) -> None:
        self.problems = problems

    def fail(self, detail: str, subject: SourceRange) -> Type:
        self.problems.append(Diagnostic("Invalid type specification", detail, subject))
        return DYNAMIC

    def read(self, written: Expression) -> Type:
        expression = static(written)
        name = keyword(expression)
        if name in _PRIMITIVE:
            return _PRIMITIVE[name]
        if name == "any":
            return DYNAMIC
        if name in _ARGUMENT:
            return self.needs_argument(name, written.range)
        if name:
            detail = f"The keyword {quote(name)} is not a valid type specification."
            return self.fail(detail, written.range)
        if not isinstance(expression, FunctionCall):
            detail = (
                "A type specification is either a primitive type keyword (bool, number, "
                "string) or a "
            )
            detail += "complex type constructor call, like list(string)."
            return self.fail(detail, written.range)
        return self.call(expression, written.range)

    def needs_argument(self, name: str, subject: SourceRange) -> Type:
        detail = f"The {name} type constructor requires one argument {_ARGUMENT[name]}."
        return self.fail(detail, subject)

    def call(self, call: FunctionCall, whole: SourceRange) -> Type:
        name, args = call.name, call.args
        if name in _PRIMITIVE or name == "any":
            kind = "Type constraint" if name == "any" else "Primitive type"
            detail = f"{kind} keyword {quote(name)} does not expect arguments."
            return self.fail(detail, call.args_range)
        if len(args) != 1 and name in _ARGUMENT:
            extra = args[1].range.to(args[-1].range) if len(args) > 1 else call.args_range
            return self.needs_argument(name, extra)
        if name in _COLLECTIONS:
            return _COLLECTIONS[name](self.read(args[0]))
        if name == "object":
            return self.object(args[0])
        if name == "tuple":
            return self.tuple(args[0])
        if name == "optional":
            detail = (
                f"Keyword {quote(name)} is valid only as a modifier for object type attributes."
            )
            return self.fail(detail, call.name_range)
        return self.fail(f"Keyword {quote(name)} is not a valid type constructor.", whole)

    def tuple(self, argument: Expression) -> Type:
        if not isinstance(argument, Tuple):
            detail = "Tuple type constructor requires a list of element types."
            return self.fail(detail, argument.range)
        return tuple_of([self.read(each) for each in argument.items])

    def object(self, argument: Expression) -> Type:
        if not isinstance(argument, ObjectExpression):
            detail = (
                "Object type constructor requires a map whose keys are attribute names and whose "
            )
            detail += "values are the corresponding attribute types."
            return self.fail(detail, argument.range)
        attributes: dict[str, Type] = {}
        optional: set[str] = set()
        for key, value in argument.items:
            name = self.attribute_name(key, attributes)
            if not name:
                continue
            if isinstance(value, FunctionCall) and value.name == "optional":
                inner = self.optional(value)
                if inner is None:
                    continue
                optional.add(name)
                value = inner
            attributes[name] = self.read(value)
        return object_of(attributes, frozenset(optional))

    def attribute_name(self, key: ObjectKey, attributes: dict[str, Type]) -> str:
        name = keyword(key)
        if not name:
            self.fail("Object constructor map keys must be attribute names.", key.range)
        elif name in attributes:
            self.fail("Object constructor map keys must be unique.", key.range)
            return ""
        return name

    def optional(self, call: FunctionCall) -> Expression | None:
        """The type in `optional(type)`; None if it is not there."""
        if not call.args:
            detail = "Optional attribute modifier requires the attribute type as its argument."
            self.fail(detail, call.args_range)
            return None
        if len(call.args) > 1:
            detail = "Optional attribute modifier expects only one argument: the attribute type."
            self.fail(detail, call.args_range)
        return call.args[0]
