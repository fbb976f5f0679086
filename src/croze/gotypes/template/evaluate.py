"""A template on a value: text.

Source: Go `text/template`: what is evaluated when, and how names are looked up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from croze.gotypes.template.functions import FUNCTIONS, Function
from croze.gotypes.template.lexer import TemplateError, Text
from croze.gotypes.template.parser import (
    Jump,
    Node,
    Operand,
    Pipeline,
    TemplateBlock,
    TemplateCommand,
    parse,
)
from croze.gotypes.template.values import Fields, Nil, is_true, shown, type_name

__all__ = ["Fields", "Nil", "TemplateError", "render"]

MOST_CHARACTERS = 64 * 1024 * 1024
_NOTHING = object()


class _Break(Exception):
    """Leaves a range."""


class _Continue(Exception):
    """Goes on to a range's next value."""


def render(text: str, value: object, functions: Mapping[str, Function] | None = None) -> str:
    """The template's text for a value. `functions` come before those that are always there.
    Raises `TemplateError`."""
    evaluation = _Evaluation(value, {**FUNCTIONS, **(functions or {})})
    evaluation.walk(parse(text), value)
    return "".join(evaluation.out)


class _Evaluation:
    """One rendering: what is printed so far, and the variables in sight."""

    def __init__(self, value: object, functions: Mapping[str, Function]) -> None:
        self.out: list[str] = []
        self._functions = functions
        self._length = 0
        self._variables: list[tuple[str, object]] = [("$", value)]

    def walk(self, nodes: Sequence[Node], dot: object) -> None:
        for node in nodes:
            match node:
                case Text(text):
                    self._print(text)
                case Pipeline():
                    result = self.pipeline(node, dot)
                    if not node.names:
                        self._print(shown(result))
                case TemplateBlock(kind="range"):
                    self._scoped(self._range, node, dot)
                case TemplateBlock():
                    self._scoped(self._choose, node, dot)
                case Jump(kind):
                    raise _Break if kind == "break" else _Continue

    def _print(self, text: str) -> None:
        self._length += len(text)
        if self._length > MOST_CHARACTERS:
            raise TemplateError("template: the result is too long")
        self.out.append(text)

    def _scoped(
        self, act: Callable[[TemplateBlock, object], None], block: TemplateBlock, dot: object
    ) -> None:
        """Variables that a block declares are gone after it."""
        mark = len(self._variables)
        try:
            act(block, dot)
        finally:
            del self._variables[mark:]

    def _choose(self, block: TemplateBlock, dot: object) -> None:
        value = self.pipeline(block.pipeline, dot)
        if is_true(value):
            self.walk(block.body, value if block.kind == "with" else dot)
        else:
            self.walk(block.otherwise, dot)

    def _range(self, block: TemplateBlock, dot: object) -> None:
        pipeline = block.pipeline
        bare = Pipeline(pipeline.commands, line=pipeline.line)
        items = list(_items(self.pipeline(bare, dot), pipeline.line))
        if not items:
            self.walk(block.otherwise, dot)
        mark = len(self._variables)
        for key, value in items:
            del self._variables[mark:]
            if pipeline.names:
                values = (value,) if len(pipeline.names) == 1 else (key, value)
                for name, one in zip(pipeline.names, values, strict=True):
                    self._set(name, one, declares=pipeline.declares)
            try:
                self.walk(block.body, value)
            except _Break:
                break
            except _Continue:
                continue

    def pipeline(self, pipeline: Pipeline, dot: object) -> object:
        """The value of the last command."""
        value: object = _NOTHING
        try:
            for command in pipeline.commands:
                value = self._command(command, dot, value)
        except _Refused as error:
            where = f"template: :{pipeline.line}:{error.column}"
            raise TemplateError(f'{where}: executing "" at {error}') from None
        except _Undefined as error:
            raise TemplateError(f"template: :{pipeline.line}: {error}") from None
        except TemplateError as error:
            if str(error).startswith("template: "):
                raise
            raise TemplateError(f'template: :{pipeline.line}: executing "": {error}') from None
        for name in pipeline.names:
            self._set(name, value, declares=pipeline.declares)
        return value

    def _set(self, name: str, value: object, *, declares: bool) -> None:
        if declares:
            self._variables.append((name, value))
            return
        for at in range(len(self._variables) - 1, -1, -1):
            if self._variables[at][0] == name:
                self._variables[at] = (name, value)
                return
        raise TemplateError(f'undefined variable "{name}"')

    def _command(self, command: TemplateCommand, dot: object, piped: object) -> object:
        first, *rest = command.operands
        last = [] if piped is _NOTHING else [piped]
        if first.kind == "function":
            return _fields(self._call(str(first.base), rest, dot, last), first)
        if rest or last:
            raise TemplateError(f"can't give argument to non-function {first.text}")
        return self._operand(first, dot)

    def _call(
        self, name: str, operands: Sequence[Operand], dot: object, last: list[object]
    ) -> object:
        if name in ("and", "or"):
            return self._decide(name, operands, dot, last)
        function = self._functions.get(name)
        if function is None:
            raise _Undefined(f'function "{name}" not defined')
        values = [self._operand(operand, dot) for operand in operands]
        try:
            return function(*values, *last)
        except TypeError:
            count = len(values) + len(last)
            raise TemplateError(f"wrong number of args for {name}: got {count}") from None

    def _decide(
        self, name: str, operands: Sequence[Operand], dot: object, last: list[object]
    ) -> object:
        value: object = None
        for operand in operands:
            value = self._operand(operand, dot)
            if is_true(value) == (name == "or"):
                return value
        return last[0] if last else value

    def _operand(self, operand: Operand, dot: object) -> object:
        match operand.kind:
            case "dot":
                value = dot
            case "constant":
                value = operand.base
            case "variable":
                value = self._variable(str(operand.base))
            case "function":
                value = self._call(str(operand.base), (), dot, [])
            case _:
                assert isinstance(operand.base, Pipeline)
                value = self.pipeline(operand.base, dot)
        return _fields(value, operand)

    def _variable(self, name: str) -> object:
        for defined, value in reversed(self._variables):
            if defined == name:
                return value
        raise TemplateError(f'undefined variable "{name}"')


class _Refused(TemplateError):
    """A field that can't be had, with its column."""

    def __init__(self, column: int, message: str) -> None:
        super().__init__(message)
        self.column = column


class _Undefined(TemplateError):
    """A function that there is not: nothing is executed, as Go has it."""


def _fields(value: object, operand: Operand) -> object:
    """What the fields behind an operand lead to. Raises `_Refused` for a field that a struct has
    not, or of what has none; a map gives nothing."""
    for name, column in operand.fields:
        if isinstance(value, Fields):
            if name not in value:
                raise _Refused(column, f"<{operand.text}>: {_no_field(name, value.type_name)}")
            value = value[name]
        elif isinstance(value, Mapping):
            value = value.get(name)
        elif isinstance(value, Nil):
            problem = f"nil pointer evaluating {value.type_name}.{name}"
            raise _Refused(column, f"<{operand.text}>: {problem}")
        elif value is None:
            raise _Refused(
                column, f"<{operand.text}>: nil pointer evaluating interface {{}}.{name}"
            )
        else:
            raise _Refused(column, f"<{operand.text}>: {_no_field(name, type_name(value))}")
    return value


def _no_field(name: str, type_name: str) -> str:
    return f"can't evaluate field {name} in type {type_name}"


def _items(value: object, line: int) -> Iterator[tuple[object, object]]:
    if value is None:
        return iter(())
    if isinstance(value, Mapping) and not isinstance(value, Fields):
        return ((key, value[key]) for key in sorted(value))
    if isinstance(value, int) and not isinstance(value, bool):
        return ((number, number) for number in range(value))
    if isinstance(value, Sequence) and not isinstance(value, str):
        return enumerate(value)
    raise TemplateError(
        f'template: :{line}: executing "": range can\'t iterate over {shown(value)}'
    )
