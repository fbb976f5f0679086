"""Expressions to values.

An error adds a diagnostic and gives an unknown value, so that one evaluation tells about every
problem.
"""

from __future__ import annotations

from croze.bake.hcl import calls, lookups, loops
from croze.bake.hcl.conditionals import conditional
from croze.bake.hcl.json_evaluate import evaluate_json
from croze.bake.hcl.json_syntax import JsonArray, JsonObject, JsonString
from croze.bake.hcl.operators import (
    OperationError,
    binary,
    operand_type,
    result_type,
    short_circuit,
    unary,
)
from croze.bake.hcl.scope import Scope
from croze.bake.hcl.source import Diagnostic, HclError, SourceRange, did_you_mean
from croze.bake.hcl.syntax import (
    Binary,
    Broken,
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
    SplatItem,
    Template,
    Tuple,
    Unary,
    Variable,
    Wrapped,
    keyword,
)
from croze.bake.values.convert import ConversionError, convert, to_string
from croze.bake.values.types import BOOL, NUMBER, STRING, Type
from croze.bake.values.value import (
    DYNAMIC_VALUE,
    Value,
    object_value,
    string,
    tuple_value,
    unknown_of,
)
from croze.gotypes.quote import quote

_TEMPLATE = "Invalid template interpolation value"


class Evaluator:
    """Evaluates expressions; `evaluate` is the one way in, for itself and for its helpers."""

    def __init__(self, problems: list[Diagnostic]) -> None:
        self.problems = problems

    def error(self, summary: str, detail: str, subject: SourceRange) -> Value:
        self.problems.append(Diagnostic(summary, detail, subject))
        return DYNAMIC_VALUE

    def evaluate(self, node: Expression, scope: Scope) -> Value:
        match node:
            case Literal():
                return node.value
            case Template():
                return self._template(node, scope)
            case Variable():
                return self._variable(node, scope)
            case ObjectExpression():
                return self._object(node, scope)
            case Tuple():
                return tuple_value([self.evaluate(each, scope) for each in node.items])
            case FunctionCall():
                return calls.call(self, node, scope)
            case Wrapped() | Parentheses():
                return self.evaluate(node.inner, scope)
            case Relative():
                source = self.evaluate(node.source, scope)
                return lookups.follow(source, node.steps, self.problems)
            case Conditional():
                return conditional(self, node, scope)
            case Binary():
                return self._binary(node, scope)
        return self._rarer(node, scope)

    def _rarer(self, node: Expression, scope: Scope) -> Value:
        match node:
            case Unary():
                return self._unary(node, scope)
            case For():
                return loops.loop(self, node, scope)
            case Splat():
                return loops.splat(self, node, scope)
            case Lookup():
                collection = self.evaluate(node.collection, scope)
                key = self.evaluate(node.key, scope)
                return lookups.index(collection, key, node.bracket_range, self.problems)
            case ObjectKey():
                return self._key(node, scope)
            case Join():
                return self._join(node, scope)
            case SplatItem():
                return scope.items.get(node, DYNAMIC_VALUE)
            case JsonString() | JsonArray() | JsonObject():
                return evaluate_json(self, node, scope)
            case Broken():
                self.problems.extend(node.problems)
        return DYNAMIC_VALUE

    def _variable(self, node: Variable, scope: Scope) -> Value:
        value = scope.variable(node.name)
        if value is not None:
            return lookups.follow(value, node.steps, self.problems) if node.steps else value
        if scope.constant:
            return self.error(
                "Variables not allowed", "Variables may not be used here.", node.name_range
            )
        detail = f"There is no variable named {quote(node.name)}."
        detail += did_you_mean(node.name, scope.variable_names())
        return self.error("Unknown variable", detail, node.name_range)

    def _template(self, node: Template, scope: Scope) -> Value:
        first = node.parts[0]
        if isinstance(first, Literal) and len(node.parts) == 1:
            return first.value
        texts: list[str] = []
        is_known = True
        for part in node.parts:
            value = self.evaluate(part, scope)
            if value.is_null:
                detail = (
                    "The expression result is null. Cannot include a null value in a "
                    "string template."
                )
                self.error(_TEMPLATE, detail, part.range)
            elif not value.is_known:
                is_known = False
            else:
                try:
                    texts.append(to_string(value).text)
                except ConversionError as error:
                    detail = f"Cannot include the given value in a string template: {error}."
                    self.error(_TEMPLATE, detail, part.range)
        return string("".join(texts)) if is_known else unknown_of(STRING)

    def _join(self, node: Join, scope: Scope) -> Value:
        value = loops.loop(self, node.loop, scope)
        if not value.is_known:
            return unknown_of(STRING)
        texts: list[str] = []
        for each in value.items:
            if not each.is_known:
                return unknown_of(STRING)
            if each.is_null:
                detail = (
                    "An iteration result is null. Cannot include a null value in a string template."
                )
                self.error(_TEMPLATE, detail, node.range)
            else:
                texts.append(to_string(each).text)
        return string("".join(texts))

    def _key(self, node: ObjectKey, scope: Scope) -> Value:
        if not node.computed:
            if isinstance(node.wrapped, Variable) and node.wrapped.steps:
                detail = (
                    "If this expression is intended to be a reference, wrap it in "
                    "parentheses. If it's "
                    "instead intended as a literal name containing periods, wrap it "
                    "in quotes to create a "
                    "string literal."
                )
                return self.error("Ambiguous attribute key", detail, node.range)
            name = keyword(node.wrapped)
            if name:
                return string(name)
        return self.evaluate(node.wrapped, scope)

    def _object(self, node: ObjectExpression, scope: Scope) -> Value:
        fields: dict[str, Value] = {}
        is_known = True
        for key_node, value_node in node.items:
            mark = len(self.problems)
            key = self._key(key_node, scope)
            failed = len(self.problems) > mark
            value = self.evaluate(value_node, scope)
            if failed:
                is_known = False
            elif key.is_null:
                self.error(
                    "Null value as key", "Can't use a null value as a key.", value_node.range
                )
                is_known = False
            else:
                try:
                    name = to_string(key)
                except ConversionError as error:
                    detail = f"Can't use this value as a key: {error}."
                    self.error("Incorrect key type", detail, key_node.range)
                    is_known = False
                    continue
                if name.is_known:
                    fields[name.text] = value
                else:
                    is_known = False
        return object_value(fields) if is_known else DYNAMIC_VALUE

    def _operand(self, node: Expression, value: Value, want: Type, side: str) -> Value | None:
        try:
            return convert(value, want)
        except ConversionError as error:
            detail = f"Unsuitable value for {side} operand: {error}."
            self.error("Invalid operand", detail, node.range)
            return None

    def _binary(self, node: Binary, scope: Scope) -> Value:
        """A chain of operators is as deep as it is long to the left: no recursion there."""
        chain = [node]
        while isinstance(chain[-1].left, Binary):
            chain.append(chain[-1].left)
        outer = self.problems
        self.problems = []
        value = self.evaluate(chain[-1].left, scope)
        for each in reversed(chain):
            left_found, self.problems = self.problems, []
            value = self._apply(each, value, left_found, scope)
        outer.extend(self.problems)
        self.problems = outer
        return value

    def _apply(
        self, node: Binary, left_value: Value, left_found: list[Diagnostic], scope: Scope
    ) -> Value:
        """One operator; leaves in `problems` what is to be told of both sides."""
        operator = node.operator
        want = operand_type(operator)
        own: list[Diagnostic] = []
        self.problems = own
        left = self._operand(node.left, left_value, want, "left")
        self.problems = []
        value = self.evaluate(node.right, scope)
        right_found, self.problems = self.problems, own
        right = self._operand(node.right, value, want, "right")
        if left is None or right is None:
            own.extend((*left_found, *right_found))
            return unknown_of(result_type(operator))
        decided = short_circuit(operator, left, right)
        if decided is not None:
            own.extend(left_found if decided[1] == "left" else right_found)
            return decided[0]
        own.extend((*left_found, *right_found))
        if own:
            return unknown_of(result_type(operator))
        try:
            return binary(operator, left, right)
        except OperationError as error:
            self.error("Operation failed", f"Error during operation: {error}.", node.range)
            return unknown_of(result_type(operator))

    def _unary(self, node: Unary, scope: Scope) -> Value:
        want = BOOL if node.operator == "!" else NUMBER
        mark = len(self.problems)
        value = self._operand(node.operand, self.evaluate(node.operand, scope), want, "unary")
        if value is None or len(self.problems) > mark:
            return unknown_of(want)
        try:
            return unary(node.operator, value)
        except OperationError as error:
            self.error("Operation failed", f"Error during operation: {error}.", node.range)
            return unknown_of(want)


def evaluate(node: Expression, scope: Scope) -> Value:
    """The expression's value; HclError with everything that is wrong."""
    problems: list[Diagnostic] = []
    value = Evaluator(problems).evaluate(node, scope)
    if problems:
        raise HclError(problems)
    return value
