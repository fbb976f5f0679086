"""Modules: a package, imports and rules."""

from __future__ import annotations

from croze.rego.errors import Location, Problem, RegoError
from croze.rego.parse.cursor import TOO_DEEP
from croze.rego.parse.expressions import Parser
from croze.rego.parse.lexer import tokens
from croze.rego.syntax import (
    Branch,
    Call,
    Comprehension,
    Expr,
    Import,
    Module,
    RefTerm,
    Rule,
    Scalar,
    Term,
    Var,
    subterms,
)
from croze.rego.values import TRUE


def parse_module(file: str, text: str) -> Module:
    """The syntax tree of a module. Raises `RegoError`."""
    try:
        return _ModuleReader(text, file).module()
    except Problem as problem:
        raise RegoError(str(problem)) from None
    except RecursionError:
        raise RegoError(f"{file}:1: rego_parse_error: {TOO_DEEP}") from None


class _ModuleReader:
    def __init__(self, text: str, file: str) -> None:
        self.file = file
        self.parser = Parser(tokens(text, file))

    def module(self) -> Module:
        parser = self.parser
        if parser.token.kind == "end":
            raise parser.fail("empty module", Location(self.file, 0, 0))
        if not parser.take_keyword("package"):
            raise parser.fail("package expected")
        module = Module(self.file, self._package())
        while parser.token.kind != "end":
            if parser.take_keyword("import"):
                self._import(module)
            else:
                module.rules.append(self._rule())
            if parser.token.kind == ";":
                raise parser.fail("multiple expressions cannot be used for rule head")
            if parser.token.kind != "end" and parser.same_row():
                raise parser.unexpected()
        return module

    def _package(self) -> tuple[str, ...]:
        term = self.parser.term()
        path = _path(term)
        if not path:
            raise self.parser.fail("invalid package name", term.at)
        return path

    def _import(self, module: Module) -> None:
        at = self.parser.last.at
        term = self.parser.term()
        path = _path(term)
        alias = path[-1] if path else ""
        if self.parser.take_keyword("as"):
            alias = self.parser.need("name", "expected var").text
        if not path or path[0] not in ("data", "input", "rego", "future"):
            allowed = "{data, future, input, rego}"
            raise self.parser.fail(
                f"unexpected import path, must begin with one of: {allowed}, "
                f"got: {path[0] if path else ''} (hint: if this is unexpected, try updating OPA)",
                term.at,
                excerpt=True,
            )
        if path[0] in ("data", "input"):
            module.imports.append(Import(path, alias, at))

    # -- rules --

    def _rule(self) -> Rule:
        parser = self.parser
        at = parser.token.at
        is_default = parser.take_keyword("default")
        head = self._head()
        keys, element, value = head.keys, None, None
        if parser.take_keyword("contains"):
            element = parser.infix()
        elif parser.token.kind in (":=", "="):
            parser.advance()
            value = self._value()
        if is_default:
            return self._default(head, value, at)
        body = self._body(value, element, head)
        branches = [Branch(value or Scalar(TRUE, at), body, at)]
        while parser.at_keyword("else"):
            branches.append(self._else())
        return Rule(head.name, keys, head.args, element, tuple(branches), False, at)

    def _value(self) -> Term:
        value = self.parser.infix()
        if self.parser.at_keyword("with"):
            message = "expressions using with keyword cannot be used for rule head"
            raise self.parser.fail(message, value.at)
        return value

    def _body(self, value: Term | None, element: Term | None, head: _Head) -> tuple[Expr, ...]:
        parser = self.parser
        if parser.take_keyword("if"):
            return parser.body()
        if parser.token.kind == "{" and parser.same_row():
            raise parser.fail("`if` keyword is required before rule body", head.at)
        if value is None and element is None:
            if head.keys:
                message = "`contains` keyword is required for partial set rules"
                raise parser.fail(message, head.at)
            message = (
                "var cannot be used for rule name"
                if head.args is None
                else ("`if` keyword is required before rule body")
            )
            raise parser.fail(message, head.at, excerpt=head.args is None)
        return ()

    def _default(self, head: _Head, value: Term | None, at: Location) -> Rule:
        if value is None:
            raise self.parser.unexpected("default rules must have a value")
        for each in _constants_only(value):
            kind = {RefTerm: "ref", Var: "var", Call: "call"}[type(each)]
            message = f"illegal default rule (value cannot contain {kind})"
            raise self.parser.fail(message, at, excerpt=True)
        branch = Branch(value, (), at)
        return Rule(head.name, head.keys, head.args, None, (branch,), True, at)

    def _else(self) -> Branch:
        parser = self.parser
        at = parser.advance().at
        value: Term | None = None
        if parser.token.kind in (":=", "="):
            parser.advance()
            value = parser.infix()
        if parser.take_keyword("if"):
            return Branch(value or Scalar(TRUE, at), parser.body(), at)
        if value is None:
            raise parser.unexpected("expected else value term")
        return Branch(value, (), at)

    def _head(self) -> _Head:
        parser = self.parser
        at = parser.token.at
        if parser.token.kind != "name":
            raise parser.unexpected()
        term = parser.term()
        if isinstance(term, Call):
            return _Head(tuple(term.name.split(".")), (), term.args, at)
        path = _path(term)
        if path:
            return _Head(path, (), None, at)
        if isinstance(term, RefTerm) and isinstance(term.head, Var):
            constant = _path(RefTerm(term.head, _leading(term.path), at)) or (term.head.name,)
            return _Head(constant, term.path[len(constant) - 1 :], None, at)
        raise parser.fail("rule head cannot be used", at, excerpt=True)


class _Head:
    def __init__(
        self,
        name: tuple[str, ...],
        keys: tuple[Term, ...],
        args: tuple[Term, ...] | None,
        at: Location,
    ) -> None:
        self.name, self.keys, self.args, self.at = name, keys, args, at


def _leading(path: tuple[Term, ...]) -> tuple[Term, ...]:
    """The constant names at the beginning."""
    out: list[Term] = []
    for each in path:
        if not isinstance(each, Scalar) or not isinstance(each.value, str):
            break
        out.append(each)
    return tuple(out)


def _path(term: Term) -> tuple[str, ...]:
    """The names of a reference made of nothing else; empty for any other term."""
    if isinstance(term, Var):
        return (term.name,)
    if not isinstance(term, RefTerm) or not isinstance(term.head, Var):
        return ()
    names = [each.value for each in term.path if isinstance(each, Scalar)]
    words = [name for name in names if isinstance(name, str)]
    return (term.head.name, *words) if len(words) == len(term.path) else ()


def _constants_only(term: Term) -> list[Term]:
    """What is neither a constant nor made of constants."""
    if isinstance(term, RefTerm | Var | Call):
        return [term]
    if isinstance(term, Comprehension | Scalar):
        return []
    return [constant for each in subterms(term) for constant in _constants_only(each)]
