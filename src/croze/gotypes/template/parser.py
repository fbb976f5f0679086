"""Tokens become trees: a template, and those that are defined in it.

Source: Go `text/template/parse` (parse.go), with its messages.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TypeVar

from croze.gotypes.quote import quote
from croze.gotypes.template import constants
from croze.gotypes.template.lexer import TemplateError, Token, tokens
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

T = TypeVar("T")
_OPERANDS = frozenset(
    {"bool", "char", "complex", ".", "field", "word", "number", "nil", "raw", "string", "variable"}
    | {"("}
)
_DEPTH = 100
"""How deep parentheses and blocks may be; Go has 10,000 for the former."""

Trees = dict[str, Sequence[Node]]
"""Templates by name; the one that was given has none."""


class _End(Node, frozen=True):
    """The action `end` or `else`; `word`: what follows an `else`."""

    kind: str
    word: str = ""

    def __str__(self) -> str:
        return f"{{{{{self.kind}}}}}"


def parse(text: str, functions: Collection[str]) -> Trees:
    """The trees of a template's text, which may name these functions. Raises `TemplateError`."""
    trees: Trees = {}
    reader = _Reader(text, functions, trees)
    try:
        reader.whole()
    except RecursionError:
        raise reader.error("max expression depth exceeded") from None
    return trees


class _Reader:
    def __init__(self, text: str, functions: Collection[str], trees: Trees) -> None:
        self._tokens = list(tokens(text))
        self._at = 0
        self._functions = functions
        self._trees = trees
        self._variables = ["$"]
        self._ranges = self._depth = 0

    # -- tokens --

    def error(self, message: str, token: Token | None = None) -> TemplateError:
        """An error in the line of a token; of the last one that was read if none is named."""
        line = (token or self._tokens[max(self._at - 1, 0)]).line
        return TemplateError(f"template: :{line}: {message}")

    def _unexpected(self, token: Token, context: str) -> TemplateError:
        if token.kind == "error":
            return self.error(f"{token}{self._started(token)}", token)
        return self.error(f"unexpected {token} in {context}", token)

    def _started(self, token: Token) -> str:
        """Where the action began, if that was in another line."""
        begun = [t.line for t in self._tokens[: self._at] if t.kind == "{{"]
        ended = sum(t.kind == "}}" for t in self._tokens[: self._at])
        if len(begun) == ended or begun[-1] == token.line:
            return ""
        place = f" in action started at :{begun[-1]}"
        return place.removeprefix(" in action") if token.text.endswith(" action") else place

    def _peek(self) -> Token:
        return self._tokens[self._at]

    def _next(self) -> Token:
        token = self._tokens[self._at]
        self._at = min(self._at + 1, len(self._tokens) - 1)
        return token

    def _peek_solid(self) -> Token:
        while self._peek().kind == "space":
            self._next()
        return self._peek()

    def _next_solid(self) -> Token:
        self._peek_solid()
        return self._next()

    def _expect(self, kinds: Collection[str], context: str) -> Token:
        token = self._next_solid()
        if token.kind not in kinds:
            raise self._unexpected(token, context)
        return token

    def _constant(self, read: Callable[[str], T], token: Token) -> T:
        try:
            return read(token.text)
        except ValueError as error:
            raise self.error(str(error)) from None

    # -- bodies --

    def whole(self) -> None:
        """The template itself, and what is defined at its top."""
        nodes: list[Node] = []
        while self._peek().kind != "EOF":
            start = self._at
            if self._next().kind == "{{" and self._next_solid().kind == "define":
                self._definition()
                continue
            self._at = start
            node = self._text_or_action()
            if isinstance(node, _End):
                raise self.error(f"unexpected {node}")
            nodes.append(node)
        self._add("", nodes)

    def _definition(self) -> None:
        name = self._name("define clause")
        self._expect(("}}",), "define clause")
        self._add(name, self._apart("define clause"))

    def _apart(self, context: str) -> Sequence[Node]:
        """The body of a template of its own, up to its end: it sees no variables but its own."""
        variables, ranges = self._variables, self._ranges
        self._variables, self._ranges = ["$"], 0
        body, end = self._body()
        self._variables, self._ranges = variables, ranges
        if end.kind != "end":
            raise self.error(f"unexpected {end} in {context}")
        return body

    def _add(self, name: str, nodes: Sequence[Node]) -> None:
        """One that holds nothing gives way."""
        if _is_empty(self._trees.get(name, ())):
            self._trees[name] = nodes
        elif not _is_empty(nodes):
            raise self.error(f"template: multiple definition of template {quote(name)}")

    def _body(self) -> tuple[list[Node], _End]:
        """The nodes up to `end` or `else`."""
        self._depth += 1
        if self._depth > _DEPTH:
            raise self.error("max expression depth exceeded")
        nodes: list[Node] = []
        while self._peek_solid().kind != "EOF":
            node = self._text_or_action()
            if isinstance(node, _End):
                self._depth -= 1
                return nodes, node
            nodes.append(node)
        raise self.error("unexpected EOF", self._peek())

    def _text_or_action(self) -> Node:
        token = self._next_solid()
        if token.kind == "text":
            return Text(token.position, token.text)
        if token.kind != "{{":
            raise self._unexpected(token, "input")
        return self._action()

    def _action(self) -> Node:
        position = self._peek_solid().position
        match self._peek().kind:
            case "if" | "with" | "range" as kind:
                self._next()
                return self._branch(kind)
            case "block":
                return self._block()
            case "template":
                return self._invocation()
            case "break" | "continue" as kind:
                return self._jump(kind)
            case "end":
                self._next()
                self._expect(("}}",), "end")
                return _End(position, "end")
            case "else":
                return self._else()
        return self._pipeline("command", "}}")

    def _jump(self, kind: str) -> Jump:
        position = self._next().position
        self._expect(("}}",), f"{{{{{kind}}}}}")
        if not self._ranges:
            raise self.error(f"{{{{{kind}}}}} outside {{{{range}}}}")
        return Jump(position, kind)

    def _else(self) -> _End:
        position = self._next().position
        if (following := self._peek_solid().kind) in ("if", "with"):
            return _End(position, "else", following)
        self._expect(("}}",), "else")
        return _End(position, "else")

    def _branch(self, kind: str) -> TemplateBranch:
        mark = len(self._variables)
        pipeline = self._pipeline(kind, "}}")
        self._ranges += kind == "range"
        body, end = self._body()
        self._ranges -= kind == "range"
        otherwise: Sequence[Node] = ()
        if end.kind == "else" and kind != "range" and end.word == kind:
            self._next()
            otherwise = (self._branch(kind),)
        elif end.kind == "else":
            otherwise, end = self._body()
            if end.kind != "end":
                raise self.error(f"expected end; found {end}")
        del self._variables[mark:]
        return TemplateBranch(pipeline.position, kind, pipeline, body, otherwise)

    def _block(self) -> TemplateCall:
        """A template that is defined where it is used."""
        self._next()
        position = self._peek_solid().position
        name = self._name("block clause")
        pipeline = self._pipeline("block clause", "}}")
        self._add(name, self._apart("block clause"))
        return TemplateCall(position, name, pipeline)

    def _invocation(self) -> TemplateCall:
        self._next()
        position = self._peek_solid().position
        name = self._name("template clause")
        pipeline = None
        if self._peek_solid().kind == "}}":
            self._next()
        else:
            pipeline = self._pipeline("template clause", "}}")
        return TemplateCall(position, name, pipeline)

    def _name(self, context: str) -> str:
        return self._constant(constants.unquoted, self._expect(("string", "raw"), context))

    # -- pipelines --

    def _pipeline(self, context: str, end: str) -> Pipeline:
        position = self._peek_solid().position
        names, declares = self._declaration(context)
        commands: list[TemplateCommand] = []
        while (token := self._next_solid()).kind != end:
            if token.kind not in _OPERANDS:
                raise self._unexpected(token, context)
            self._at -= 1
            commands.append(self._command())
        if not commands:
            raise self.error(f"missing value for {context}")
        for stage, command in enumerate(commands[1:], 2):
            if isinstance(command.operands[0], Dot | NilWord | Constant):
                raise self.error(f"non executable command in pipeline stage {stage}")
        return Pipeline(position, commands, names, declares)

    def _declaration(self, context: str) -> tuple[tuple[str, ...], bool]:
        """`$x :=`, `$x =` or `$i, $x :=` in front; nothing is taken if it is none."""
        names: list[str] = []
        while self._peek_solid().kind == "variable":
            start = self._at
            name = self._next().text
            mark = self._peek_solid().kind
            if mark not in (":=", "=", ","):
                self._at = start
                break
            self._next()
            names.append(name)
            self._variables.append(name)
            if mark != ",":
                return tuple(names), mark == ":="
            if context != "range" or len(names) > 1:
                raise self.error(f"too many declarations in {context}")
            if self._peek_solid().kind not in ("variable", "}}", ")"):
                raise self.error("range can only initialize variables")
        return tuple(names), True

    def _command(self) -> TemplateCommand:
        position = self._peek_solid().position
        operands: list[Operand] = []
        while True:
            self._peek_solid()
            if (operand := self._operand()) is not None:
                operands.append(operand)
            match (token := self._next()).kind:
                case "space":
                    continue
                case "}}" | ")":
                    self._at -= 1
                case "|":
                    pass
                case _:
                    raise self._unexpected(token, "operand")
            break
        if not operands:
            raise self.error("empty command")
        return TemplateCommand(position, operands)

    def _operand(self) -> Operand | None:
        """A term, and `.A.B` right behind it, with no space between."""
        term = self._term()
        if term is None or self._peek().kind != "field":
            return term
        position, names = self._peek().position, []
        while self._peek().kind == "field":
            names.append(self._next().text[1:])
        match term:
            case FieldPath():
                return FieldPath(position, (*term.names, *names))
            case VariablePath():
                return VariablePath(position, term.name, (*term.names, *names))
            case Constant() | NilWord() | Dot():
                raise self.error(f"unexpected . after term {quote(str(term))}")
        return FieldChain(position, term, names)

    def _term(self) -> Operand | None:
        token = self._next_solid()
        text, position = token.text, token.position
        match token.kind:
            case "word":
                if text not in self._functions:
                    raise self.error(f"function {quote(text)} not defined")
                return FunctionName(position, text)
            case ".":
                return Dot(position)
            case "nil":
                return NilWord(position)
            case "field":
                return FieldPath(position, (text[1:],))
            case "variable":
                if text not in self._variables:
                    raise self.error(f"undefined variable {quote(text)}")
                return VariablePath(position, text)
            case "bool":
                return Constant(position, text, text == "true")
            case "number" | "complex" | "char" | "string" | "raw" as kind:
                return Constant(position, text, self._constant(_READ[kind], token))
            case "(":
                return self._parenthesized()
        self._at -= token.kind not in ("EOF", "error")
        return None

    def _parenthesized(self) -> Pipeline:
        self._depth += 1
        if self._depth > _DEPTH:
            raise self.error("max expression depth exceeded")
        pipeline = self._pipeline("parenthesized pipeline", ")")
        self._depth -= 1
        return pipeline


_READ: dict[str, Callable[[str], str | int | float | complex]] = {
    "number": constants.number,
    "complex": constants.sum_of,
    "char": constants.character,
    "string": constants.unquoted,
    "raw": constants.unquoted,
}


def _is_empty(nodes: Sequence[Node]) -> bool:
    """Whether there is nothing but space."""
    return all(isinstance(node, Text) and not node.text.strip() for node in nodes)
