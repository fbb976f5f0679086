"""Values of variables, attributes and functions, resolved when they are first needed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from croze.bake.definition.declarations import (
    Declarations,
    FunctionBlock,
    VariableBlock,
    read_constraint,
)
from croze.bake.definition.overrides import apply_override, find_override
from croze.bake.errors import BakeError
from croze.bake.hcl.evaluate import evaluate
from croze.bake.hcl.function import Function, Parameter
from croze.bake.hcl.json_syntax import JsonArray
from croze.bake.hcl.references import references
from croze.bake.hcl.scope import Scope
from croze.bake.hcl.source import Diagnostic, HclError, SourceRange
from croze.bake.hcl.syntax import Attribute, Expression, Tuple, Variable
from croze.bake.hcl.type_constraints import static_keyword
from croze.bake.values.convert import ConversionError, convert
from croze.bake.values.types import DYNAMIC, Type
from croze.bake.values.value import Value, null_of, string, tuple_value
from croze.gotypes.quote import quote


class UndefinedError(BakeError):
    """A name that no variable or function has."""


@contextmanager
def told_at(summary: str, subject: SourceRange) -> Iterator[None]:
    """Problems without a place of their own are told at this one."""
    try:
        yield
    except BakeError as error:
        raise HclError([Diagnostic(summary, str(error), subject)]) from None


@contextmanager
def _undefined(allowed: bool) -> Iterator[None]:
    try:
        yield
    except UndefinedError:
        if not allowed:
            raise


class Variables(dict[str, Value]):
    """Values by name. One that is `stale` is made anew when it is looked at."""

    def __init__(self, values: Iterable[tuple[str, Value]]) -> None:
        super().__init__(values)
        self.stale: dict[str, Callable[[], Value]] = {}

    def __getitem__(self, name: str) -> Value:
        renew = self.stale.pop(name, None)
        if renew is not None:
            self[name] = renew()
        return super().__getitem__(name)


class NameResolver:
    """The scope of all files, filled as names are needed."""

    def __init__(
        self,
        declared: Declarations,
        attributes: Mapping[str, Attribute],
        builtins: Mapping[str, str],
        outside: Mapping[str, str],
        functions: Mapping[str, Function],
    ) -> None:
        """Values of variables, as text: `builtins` of Bake's own, `outside` those that the
        environment or flags give to declared ones."""
        self.declared = declared
        self.attributes = attributes
        self.builtins = builtins
        self.outside = outside
        self.functions = dict(functions)
        self.variables = Variables((name, string(text)) for name, text in builtins.items())
        self.scope = Scope(self.variables, self.functions)
        self._resolving: set[tuple[Scope, str]] = set()
        self._defined: Mapping[str, object] = {**declared.variables, **builtins}

    def load(
        self,
        expression: Expression,
        scope: Scope,
        own_names: frozenset[str] = frozenset(),
        missing_allowed: bool = True,
    ) -> None:
        """Resolve all that an expression needs, but for the names it brings along.

        What does not exist is told when the expression is evaluated, which says more about it.
        """
        needed = references(expression)
        if not (needed.functions or needed.variables):
            return
        with told_at("Invalid expression", expression.range):
            for name in needed.functions:
                with _undefined(missing_allowed):
                    self.function(name)
            for variable in needed.variables:
                if variable.name not in own_names:
                    with _undefined(missing_allowed):
                        self.load_variable(variable, scope, expression)

    def load_variable(self, variable: Variable, scope: Scope, expression: Expression) -> None:
        """Resolve one name that an expression uses."""
        if scope is self.scope or variable.name not in scope.variables:
            self.value(variable.name, scope)

    def function(self, name: str) -> None:
        if name in self.functions:
            return
        block = self.declared.functions.get(name)
        if block is None:
            raise UndefinedError(f"function {quote(name)} does not exist: undefined")
        with self._once(self.scope, name + "()", f"function cycle not allowed for {name}"):
            self.functions[name] = self._user_function(block)

    @contextmanager
    def _once(self, scope: Scope, name: str, cycle: str) -> Iterator[None]:
        """What needs itself is a cycle; what failed once is one for those who need it later, where
        it did."""
        if (scope, name) in self._resolving:
            raise BakeError(cycle)
        self._resolving.add((scope, name))
        yield

    def _user_function(self, block: FunctionBlock) -> Function:
        if block.result is None:
            raise BakeError(f"empty result not allowed for {block.name}")
        if block.params is None:
            raise BakeError(f"empty params not allowed for {block.name}")
        problems: list[Diagnostic] = []
        names = [
            _param(each, each.range, problems) for each in _static_list(block.params.expression)
        ]
        variadic = ""
        if block.variadic is not None:
            variadic = _param(block.variadic.expression, block.variadic.range, problems)
        if problems:
            raise HclError(problems)
        result = block.result.expression
        own = frozenset(filter(None, (*names, variadic)))
        self.load(result, self.scope, own, missing_allowed=False)

        def call(args: Sequence[Value]) -> Value:
            variables = dict(zip(names, args, strict=False))
            if variadic:
                variables[variadic] = tuple_value(args[len(names) :])
            return evaluate(result, self.scope.child(variables))

        parameters = tuple(Parameter(name) for name in names)
        return Function(parameters, DYNAMIC, call, Parameter(variadic) if variadic else None)

    def value(self, name: str, scope: Scope | None = None) -> None:
        """Resolve a variable or a top-level attribute, which an expression of that scope needs."""
        if name in self.variables:
            return
        attribute = self.attributes.get(name)
        variable = self.declared.variables.get(name)
        with self._once(scope or self.scope, name, f"variable cycle not allowed for {name}"):
            if attribute is None and variable is None:
                raise UndefinedError(f"variable {quote(name)} does not exist: undefined")
            self.variables[name] = self._resolve(name, attribute, variable)

    def _resolve(
        self, name: str, attribute: Attribute | None, variable: VariableBlock | None
    ) -> Value:
        constraint, typed = DYNAMIC, False
        default = attribute
        if attribute is None and variable is not None:
            default = variable.default
            constraint, typed = self._constraint(variable)
        override = find_override(name, typed, self.outside, self._defined)
        plain = find_override(name, False, self.outside, self._defined)
        value: Value | None = None
        if default is not None:
            value = self._default(name, default, constraint)
        elif plain is None:
            return null_of(constraint) if typed else string("")
        if override is not None and variable is not None:
            return apply_override(name, override, constraint, typed, value)
        return string("") if value is None else value

    def _constraint(self, variable: VariableBlock) -> tuple[Type, bool]:
        problems: list[Diagnostic] = []
        constraint = read_constraint(variable, problems)
        if problems:
            raise HclError(problems)
        typed = constraint.kind != "dynamic"
        if variable.type is not None and static_keyword(variable.type) == "any":
            typed = True
        if typed:
            variable.constraint = constraint
        return constraint, typed

    def _default(self, name: str, default: Attribute, constraint: Type) -> Value:
        self.load(default.expression, self.scope)
        value = evaluate(default.expression, self.scope)
        try:
            return convert(value, constraint)
        except ConversionError as error:
            why = f"invalid type {constraint.name()} for variable {name} default value: {error}"
            raise BakeError(why) from None


def _static_list(expression: Expression) -> Sequence[Expression]:
    if isinstance(expression, Tuple | JsonArray):
        return expression.items
    detail = "A static list expression is required."
    raise HclError([Diagnostic("Invalid expression", detail, expression.start_range)])


def _param(expression: Expression, where: SourceRange, problems: list[Diagnostic]) -> str:
    name = static_keyword(expression)
    if not name:
        detail = "Each parameter name must be an identifier."
        problems.append(Diagnostic("Invalid param element", detail, where))
    return name
