"""The values of terms."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

from msgspec import Struct

from croze.rego.errors import EvaluationError, FunctionError
from croze.rego.evaluate.environment import Environment
from croze.rego.functions import Functions, RegoSurroundings, Undefined
from croze.rego.syntax import (
    ArrayTerm,
    Call,
    Comprehension,
    Expr,
    ObjectTerm,
    RefTerm,
    Scalar,
    SetTerm,
    TemplateString,
    Term,
    Var,
)
from croze.rego.unknowns import Found, Missing, Partial, Unknown, child, step, whole
from croze.rego.values import TRUE, Object, Value, in_order, text


class FixedValue(Struct, frozen=True):
    """What a function is said to return."""

    value: Found


class Terms(ABC):
    """Finds the values of terms: each method is a generator of them, and of bindings while it
    stands at one."""

    def __init__(self, functions: Functions, surroundings: RegoSurroundings) -> None:
        self._functions = functions
        self._surroundings = surroundings

    @abstractmethod
    def _solutions(self, body: Sequence[Expr], env: Environment) -> Iterator[None]: ...

    @abstractmethod
    def _input(self) -> Found | Missing: ...

    @abstractmethod
    def _data(self, path: Sequence[Term], env: Environment) -> Iterator[Found]: ...

    @abstractmethod
    def _call(self, name: str, args: Sequence[Found]) -> Iterator[Found]:
        """A function of a module."""

    @abstractmethod
    def _mocked(self, name: str) -> str | FixedValue | None:
        """The function, or the value, that stands for a function."""

    # -- values --

    def _values(self, term: Term, env: Environment) -> Iterator[Found]:
        match term:
            case Scalar():
                yield term.value
            case Var():
                yield env.values[term.name]
            case RefTerm():
                yield from self._ref(term, env)
            case ArrayTerm():
                for items in self._product(term.items, env):
                    yield whole(items) or tuple(_known(items))
            case SetTerm():
                for items in self._product(term.items, env):
                    yield whole(items) or frozenset(_known(items))
            case ObjectTerm():
                yield from self._object(term, env)
            case Comprehension():
                yield self._comprehension(term, env)
            case Call():
                yield from self._called(term, env)
            case TemplateString():
                yield self._template(term, env)

    def _product(self, terms: Sequence[Term], env: Environment) -> Iterator[list[Found]]:
        if not terms:
            yield []
            return
        for first in self._values(terms[0], env):
            for rest in self._product(terms[1:], env):
                yield [first, *rest]

    def _object(self, term: ObjectTerm, env: Environment) -> Iterator[Found]:
        flat = [each for pair in term.items for each in pair]
        for items in self._product(flat, env):
            unknown = whole(items)
            if unknown:
                yield unknown
                continue
            members = list(_known(items))
            yield Object(zip(members[::2], members[1::2], strict=True))

    def _unique(
        self, pairs: Iterator[tuple[Value, Value]], term: Term
    ) -> Iterator[tuple[Value, Value]]:
        seen: dict[Value, Value] = {}
        for key, value in pairs:
            if key in seen and seen[key] != value:
                raise conflict(term, "object keys must be unique")
            seen[key] = value
            yield key, value

    def _comprehension(self, term: Comprehension, env: Environment) -> Found:
        mark = len(env.assumed)
        heads = [term.value] if term.key is None else [term.key, term.value]
        rows: list[list[Value]] = []
        refs: set[str] = set()
        for _ in self._solutions(term.body, env):
            for items in self._product(heads, env):
                unknown = whole(items)
                refs |= env.since(mark) | (unknown.refs if unknown else frozenset())
                if not unknown:
                    rows.append(list(_known(items)))
        if refs:
            return Unknown(frozenset(refs))
        if term.kind == "object":
            return Object(self._unique(((key, value) for key, value in rows), term))
        values = (each[0] for each in rows)
        return frozenset(values) if term.kind == "set" else tuple(values)

    def _template(self, term: TemplateString, env: Environment) -> Found:
        out: list[str] = []
        for part in term.parts:
            if isinstance(part, str):
                out.append(part)
                continue
            values = list(self._values(part, env))
            unknown = whole(values)
            if unknown:
                return unknown
            if len(set(_known(values))) > 1:
                raise conflict(term, "template-strings must not produce multiple outputs")
            out.append(shown(next(_known(values))) if values else "<undefined>")
        return "".join(out)

    # -- functions --

    def _called(self, term: Call, env: Environment) -> Iterator[Found]:
        if term.name == "print":
            yield from self._print(term, env)
            return
        for args in self._product(term.args, env):
            yield from self._applied(term.name, args)

    def _applied(self, name: str, args: Sequence[Found]) -> Iterator[Found]:
        mocked = self._mocked(name)
        if isinstance(mocked, FixedValue):
            yield mocked.value
        elif mocked is not None or name.startswith("data."):
            yield from self._call(mocked or name, args)
        else:
            yield from self._builtin(name, args)

    def _builtin(self, name: str, args: Sequence[Found]) -> Iterator[Found]:
        unknown = whole(args)
        if unknown:
            yield unknown
            return
        function = self._functions[name]
        first = [self._surroundings] if function.wants_surroundings else []
        try:
            value = function.call(*first, *args)
        except FunctionError:
            return
        if not isinstance(value, Undefined):
            yield value

    def _print(self, term: Call, env: Environment) -> Iterator[Found]:
        if self._surroundings.on_print is None:
            yield TRUE
            return
        operands = [list(self._values(arg, env)) for arg in term.args]
        unknown = whole(each for values in operands for each in values)
        if unknown:
            yield unknown
            return
        columns = [[shown(v) for v in in_order(set(_known(values)))] for values in operands]
        for words in itertools.product(*(each or ["<undefined>"] for each in columns)):
            self._surroundings.on_print(term.at, " ".join(words))
        yield TRUE

    # -- references --

    def _ref(self, term: RefTerm, env: Environment) -> Iterator[Found]:
        if isinstance(term.head, Var) and term.head.name == "data":
            yield from self._data(term.path, env)
            return
        if isinstance(term.head, Var) and term.head.name == "input":
            root = self._input()
            if not isinstance(root, Missing):
                yield from self._walk(root, term.path, env)
            return
        for head in self._values(term.head, env):
            yield from self._walk(head, term.path, env)

    def _walk(self, value: Found, path: Sequence[Term], env: Environment) -> Iterator[Found]:
        """What stands in a value below a path."""
        if not path:
            yield value
            return
        part, rest = path[0], path[1:]
        if is_pattern(part, env):
            for key, below in children(value):
                for _ in self._match(part, key, env):
                    yield from self._walk(below, rest, env)
            return
        for key in self._values(part, env):
            unknown = whole([key])
            if unknown:
                yield unknown
                continue
            for known_key in _known([key]):
                inside = stepped(value, known_key)
                if not isinstance(inside, Missing):
                    yield from self._walk(inside, rest, env)

    def _match(self, pattern: Term, value: Found, env: Environment) -> Iterator[None]:
        """Bind what the pattern leaves open so that it is the value."""
        match pattern:
            case Var() if pattern.name not in env.values:
                with env.bound(pattern.name, value):
                    yield
            case ArrayTerm() if isinstance(value, tuple):
                if len(value) == len(pattern.items):
                    yield from self._match_all(pattern.items, value, env)
            case ArrayTerm() | ObjectTerm() if isinstance(value, Unknown):
                inner = [i for i in _inner(pattern) if is_pattern(i, env)]
                with env.assuming(value):
                    yield from self._match_all(inner, [value] * len(inner), env)
            case ObjectTerm() if isinstance(value, Object):
                yield from self._match_object(pattern, value, env)
            case _:
                for own in self._values(pattern, env):
                    unknown = whole([own, value])
                    if unknown:
                        with env.assuming(unknown):
                            yield
                    elif own == value:
                        yield

    def _match_all(
        self, patterns: Sequence[Term], values: Sequence[Found], env: Environment
    ) -> Iterator[None]:
        if not patterns:
            yield
            return
        for _ in self._match(patterns[0], values[0], env):
            yield from self._match_all(patterns[1:], values[1:], env)

    def _match_object(self, pattern: ObjectTerm, value: Object, env: Environment) -> Iterator[None]:
        if len(pattern.items) != len(value):
            return
        for keys in self._product([key for key, _ in pattern.items], env):
            known_keys = list(_known(keys))
            if len(known_keys) == len(keys) and all(key in value for key in known_keys):
                inner = [each for _, each in pattern.items]
                yield from self._match_all(inner, [value[key] for key in known_keys], env)


def _inner(pattern: ArrayTerm | ObjectTerm) -> list[Term]:
    if isinstance(pattern, ArrayTerm):
        return list(pattern.items)
    return [value for _, value in pattern.items]


def _known(values: Sequence[Found]) -> Iterator[Value]:
    for each in values:
        if not isinstance(each, Unknown | Partial):
            yield each


def is_pattern(term: Term, env: Environment) -> bool:
    """Whether a term has a variable that is not bound: it is matched then, not evaluated."""
    match term:
        case Var():
            return term.name not in env.values
        case ArrayTerm():
            return any(is_pattern(item, env) for item in term.items)
        case ObjectTerm():
            return any(is_pattern(value, env) for _, value in term.items)
    return False


def stepped(value: Found, key: Value) -> Found | Missing:
    if isinstance(value, Unknown):
        return value
    if isinstance(value, Partial):
        return child(value, key)
    return step(value, key)


def children(value: Found) -> Iterator[tuple[Found, Found]]:
    """Keys and what stands there, in order."""
    match value:
        case Unknown():
            yield value, value
        case Partial():
            for key, _ in children(value.value):
                below = child(value, key) if not isinstance(key, Unknown | Partial) else key
                if not isinstance(below, Missing):
                    yield key, below
        case Object():
            yield from value.sorted_items()
        case tuple():
            yield from enumerate(value)
        case frozenset():
            yield from ((each, each) for each in in_order(value))


def shown(value: Value) -> str:
    """The value as `print` shows it: texts without quotes."""
    return value if isinstance(value, str) else text(value)


def conflict(term: Term, message: str) -> EvaluationError:
    return EvaluationError(f"{term.at}: eval_conflict_error: {message}")
