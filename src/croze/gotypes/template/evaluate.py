"""A template on a value: text.

Source: Go `text/template` (exec.go): what is evaluated when, how names are looked up, and where an
error is said to be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from croze.gotypes.template.functions import FUNCTIONS, TemplateFunction
from croze.gotypes.template.lexer import TemplateError
from croze.gotypes.template.nodes import (
    Constant,
    Dot,
    FieldChain,
    FieldPath,
    FunctionName,
    Jump,
    NilWord,
    Node,
    Operand,
    Pipeline,
    TemplateBranch,
    TemplateCall,
    TemplateCommand,
    Text,
    VariablePath,
)
from croze.gotypes.template.parser import parse
from croze.gotypes.template.source import TemplateOutput, TemplateSource
from croze.gotypes.template.values import (
    ANY,
    MISSING,
    Fields,
    HasMethods,
    Nil,
    TemplateMethod,
    is_true,
    shown,
    type_name,
)

__all__ = ["Fields", "Nil", "TemplateError", "check", "render"]

_NOTHING = object()
"""In the place of what a pipeline's command before would have given."""
_LITERALS = {
    "string": (str, "string"),
    "int": (int, "integer"),
    "time.Duration": (int, "integer"),
}


class _Break(Exception):
    """Leaves a range."""


class _Continue(Exception):
    """Goes on to a range's next value."""


def check(text: str) -> None:
    """See that a template can be read. Raises `TemplateError`."""
    parse(text, FUNCTIONS)


def render(
    text: str, value: object, functions: Mapping[str, TemplateFunction] | None = None
) -> str:
    """The template's text for a value. `functions` come before those that are always there.
    Raises `TemplateError`."""
    available = {**FUNCTIONS, **(functions or {})}
    trees = parse(text, available)
    out = TemplateOutput()
    evaluation = _Evaluation(TemplateSource(text, trees, available, out), "", value)
    evaluation.walk(trees[""], value)
    return "".join(out.pieces)


class _GivenArguments(NamedTuple):
    """What stands behind the first operand of a command, and what the one before gave."""

    operands: Sequence[Operand]
    piped: object
    dot: object


class _Evaluation:
    """One rendering of one template: the variables in sight, and the node that is looked at."""

    def __init__(self, source: TemplateSource, name: str, value: object) -> None:
        self._source = source
        self._name = name
        self._node: Node = Text(0, "")
        self._variables: list[tuple[str, object]] = [("$", value)]

    def _error(self, message: str) -> TemplateError:
        where = f"template: {self._source.place(self._node)}: executing"
        return TemplateError(f'{where} "{self._name}" at <{self._node}>: {message}')

    # -- actions --

    def walk(self, nodes: Sequence[Node], dot: object) -> None:
        for node in nodes:
            match node:
                case Text():
                    self._source.out.add(node.text)
                case Pipeline():
                    value = self._pipeline(node, dot)
                    if not node.names:
                        self._source.out.add(shown(value))
                case TemplateBranch(kind="range"):
                    self._scoped(self._range, node, dot)
                case TemplateBranch():
                    self._scoped(self._choose, node, dot)
                case TemplateCall():
                    self._invoke(node, dot)
                case Jump():
                    raise _Break if node.kind == "break" else _Continue

    def _scoped(
        self, act: Callable[[TemplateBranch, object], None], branch: TemplateBranch, dot: object
    ) -> None:
        """Variables that a block declares are gone after it."""
        mark = len(self._variables)
        try:
            act(branch, dot)
        finally:
            del self._variables[mark:]

    def _choose(self, branch: TemplateBranch, dot: object) -> None:
        value = self._pipeline(branch.pipeline, dot)
        if is_true(value):
            self.walk(branch.body, value if branch.kind == "with" else dot)
        else:
            self.walk(branch.otherwise, dot)

    def _range(self, branch: TemplateBranch, dot: object) -> None:
        names = branch.pipeline.names
        value = self._pipeline(branch.pipeline, dot)
        mark = len(self._variables)
        is_empty = True
        for key, each in self._items(value, len(names)):
            is_empty = False
            for name, one in zip(names, (key, each)[-len(names) :], strict=False):
                self._assign(name, one)
            try:
                self.walk(branch.body, each)
            except _Break:
                break
            except _Continue:
                continue
            finally:
                del self._variables[mark:]
        if is_empty:
            self.walk(branch.otherwise, dot)

    def _items(self, value: object, names: int) -> Iterator[tuple[object, object]]:
        if value is None or value is MISSING:
            return iter(())
        if isinstance(value, Mapping) and not isinstance(value, Fields):
            return ((key, value[key]) for key in sorted(value))
        if isinstance(value, int) and not isinstance(value, bool):
            if names > 1:
                raise self._error(f"can't use {value} to iterate over more than one variable")
            return ((None, number) for number in range(value))
        if isinstance(value, Sequence) and not isinstance(value, str):
            return enumerate(value)
        raise self._error(f"range can't iterate over {shown(value, top=False)}")

    def _invoke(self, node: TemplateCall, dot: object) -> None:
        self._node = node
        tree = self._source.trees.get(node.name)
        if tree is None:
            raise self._error(f'template "{node.name}" not defined')
        value = self._pipeline(node.pipeline, dot) if node.pipeline is not None else MISSING
        try:
            _Evaluation(self._source, node.name, value).walk(tree, value)
        except RecursionError:
            raise self._error("exceeded maximum template depth (100000)") from None

    # -- pipelines --

    def _pipeline(self, pipeline: Pipeline, dot: object) -> object:
        """The value of the last command."""
        self._node = pipeline
        value: object = _NOTHING
        for command in pipeline.commands:
            value = self._command(command, dot, value)
            value = MISSING if value is None else value
        for name in pipeline.names:
            if pipeline.declares:
                self._variables.append((name, value))
            else:
                self._assign(name, value)
        return value

    def _assign(self, name: str, value: object) -> None:
        for at in range(len(self._variables) - 1, -1, -1):
            if self._variables[at][0] == name:
                self._variables[at] = (name, value)
                return
        raise self._error(f"undefined variable: {name}")

    def _command(self, command: TemplateCommand, dot: object, piped: object) -> object:
        first, *rest = command.operands
        arguments = _GivenArguments(rest, piped, dot) if rest or piped is not _NOTHING else None
        match first:
            case FunctionName():
                return self._call(first, command, rest, dot, piped)
            case FieldPath():
                self._node = first
                return self._fields(dot, first, first.names, arguments)
            case VariablePath() if first.names:
                self._node = first
                value = self._variable(first.name)
                return self._fields(value, first, first.names, arguments)
            case FieldChain():
                return self._chain(first, dot, arguments)
        if not isinstance(first, Pipeline):
            self._node = first
        if arguments is not None:
            raise self._error(f"can't give argument to non-function {first}")
        if isinstance(first, NilWord):
            raise self._error("nil is not a command")
        return self._value(first, dot)

    def _value(self, operand: Operand, dot: object) -> object:
        """What an operand is by itself."""
        match operand:
            case Dot():
                self._node = operand
                return dot
            case NilWord():
                return None
            case Constant():
                self._node = operand
                return self._constant(operand)
            case FieldPath():
                self._node = operand
                return self._fields(dot, operand, operand.names)
            case VariablePath():
                self._node = operand
                value = self._variable(operand.name)
                return self._fields(value, operand, operand.names) if operand.names else value
            case FunctionName():
                return self._call(operand, operand, (), dot, _NOTHING)
            case FieldChain():
                return self._chain(operand, dot)
        return self._pipeline(operand, dot)

    def _constant(self, constant: Constant) -> object:
        value = constant.value
        if isinstance(value, int) and value >= 1 << 63:
            raise self._error(f"{constant.written} overflows int")
        return value

    def _variable(self, name: str) -> object:
        for defined, value in reversed(self._variables):
            if defined == name:
                return value
        raise self._error(f"undefined variable: {name}")

    def _chain(
        self, chain: FieldChain, dot: object, arguments: _GivenArguments | None = None
    ) -> object:
        self._node = chain
        value = self._value(chain.of, dot)
        return self._fields(value, chain, chain.names, arguments)

    def _fields(
        self,
        value: object,
        node: Node,
        names: Sequence[str],
        arguments: _GivenArguments | None = None,
    ) -> object:
        """What fields and methods lead to, the last of them with the arguments. A struct has those
        that it has; a map gives nothing for others."""
        type_of = type_name(value)
        for at, name in enumerate(names, 1):
            has_arguments = arguments is not None and at == len(names)
            if value is MISSING:
                return MISSING
            if isinstance(value, HasMethods) and name in (methods := value.methods()):
                value = self._method(methods[name], name, arguments if has_arguments else None)
                type_of = type_name(value)
            elif isinstance(value, Fields):
                field = value.field(name)
                if field is MISSING:
                    raise self._error(f"can't evaluate field {name} in type {type_of}")
                if has_arguments:
                    raise self._error(f"{name} has arguments but cannot be invoked as function")
                value = field
                type_of = ANY if value is None else type_name(value)
            elif isinstance(value, Mapping):
                if has_arguments:
                    raise self._error(f"{name} is not a method but has arguments")
                value, type_of = value.get(name, MISSING), ANY
            elif value is None or isinstance(value, Nil):
                raise self._error(f"nil pointer evaluating {type_of}.{name}")
            else:
                raise self._error(f"can't evaluate field {name} in type {type_of}")
        return value

    # -- functions --

    def _method(
        self, method: TemplateMethod, name: str, arguments: _GivenArguments | None
    ) -> object:
        operands, piped, dot = arguments or _GivenArguments((), _NOTHING, None)
        count = len(operands) + (piped is not _NOTHING)
        if count != len(method.takes):
            wants = f"want {len(method.takes)} got {count}"
            raise self._error(f"wrong number of args for {name}: {wants}")
        values = [self._argument(o, t, dot) for o, t in zip(operands, method.takes, strict=False)]
        if piped is not _NOTHING:
            values.append(self._checked(piped, method.takes[-1]))
        return method.call(*values)

    def _call(
        self,
        name: FunctionName,
        whole: Node,
        operands: Sequence[Operand],
        dot: object,
        piped: object,
    ) -> object:
        self._node = name
        function = self._source.functions[name.name]
        count = len(operands) + (piped is not _NOTHING)
        if count < len(function.takes) or (count > len(function.takes) and not function.more):
            raise self._error(f"wrong number of args for {name}: {function.wants(count, operands)}")
        types = (*function.takes, *(function.more,) * (count - len(function.takes)))
        if name.name in ("and", "or"):
            return self._decide(name.name, operands, dot, piped)
        values = [self._argument(o, t, dot) for o, t in zip(operands, types, strict=False)]
        if piped is not _NOTHING:
            values.append(self._checked(piped, types[-1]))
        if name.name == "call":
            values.insert(0, str(operands[0]) if operands else _described(piped))
        try:
            return function.call(*values)
        except TemplateError as error:
            self._node = whole
            raise self._error(f"error calling {name}: {error}") from None

    def _decide(self, name: str, operands: Sequence[Operand], dot: object, piped: object) -> object:
        value: object = None
        for operand in operands:
            value = self._argument(operand, ANY, dot)
            if is_true(value) == (name == "or"):
                return value
        return value if piped is _NOTHING else piped

    def _argument(self, operand: Operand, type: str, dot: object) -> object:
        self._node = operand
        if isinstance(operand, NilWord):
            if type != ANY:
                raise self._error(f"cannot assign nil to {type}")
            return None
        if not isinstance(operand, Constant) or type == ANY:
            return self._checked(self._value(operand, dot), type)
        if type not in _LITERALS:
            raise self._error(f"can't handle {operand} for arg of type {type}")
        kind, words = _LITERALS[type]
        value = operand.value
        if kind is int and isinstance(value, float) and value.is_integer():
            return int(value)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise self._error(f"expected {words}; found {operand}")
        return value

    def _checked(self, value: object, type: str) -> object:
        if type == ANY:
            return None if value is MISSING else value
        if value is MISSING:
            raise self._error(f"invalid value; expected {type}")
        if type_name(value) not in (type, f"*{type}"):
            got = ANY if value is None else type_name(value)
            raise self._error(f"wrong type for value; expected {type}; got {got}")
        return value


def _described(value: object) -> str:
    """What Go's reflection says of a value: a text, or its type."""
    return value if isinstance(value, str) else f"<{type_name(value)} Value>"
