"""The values of rules, and the whole evaluation of a query."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct, field
from msgspec.structs import replace

from croze.rego.errors import EvaluationError, Location
from croze.rego.evaluate.bodies import Bodies
from croze.rego.evaluate.environment import Environment
from croze.rego.evaluate.terms import FixedValue, conflict, is_pattern
from croze.rego.functions import Functions, RegoSurroundings
from croze.rego.syntax import Call, RefTerm, Rule, Scalar, Term, Var, With
from croze.rego.tree import RuleNode, kind
from croze.rego.unknowns import MISSING, Found, Missing, Partial, Parts, Unknown, whole
from croze.rego.values import Object, Value

COMPLETE = "complete rules must not produce multiple outputs"
FUNCTIONS = "functions must not produce multiple outputs for same inputs"
KEYS = "object keys must be unique"


class _State(Struct):
    """What `with` changes, and what has been found out meanwhile."""

    input: Value | Missing
    parts: Parts
    data: Mapping[tuple[str, ...], Found] = field(default_factory=dict)
    functions: Mapping[str, str | FixedValue] = field(default_factory=dict)
    values: dict[RuleNode, Found | Missing] = field(default_factory=dict)


class Machine(Bodies):
    """Evaluates queries over a tree of rules and one input."""

    def __init__(
        self,
        root: RuleNode,
        functions: Functions,
        surroundings: RegoSurroundings,
        input: Value | Missing = MISSING,
        unknown: Parts | None = None,
    ) -> None:
        super().__init__(functions, surroundings)
        self._root = root
        self._state = _State(input, unknown or Parts())

    def document(self, name: str) -> Found | Missing:
        """What stands at a place such as `data.docker.decision`.

        Raises `EvaluationError` when rules contradict each other, or go too deep.
        """
        nowhere = Location("", 0, 0)
        path = [Scalar(each, nowhere) for each in name.split(".")[1:]]
        try:
            return next(self._data(path, Environment()), MISSING)
        except RecursionError:
            raise EvaluationError("eval_internal_error: rules go too deep") from None

    # -- the state --

    def _input(self) -> Found | Missing:
        state = self._state
        if isinstance(state.input, Missing) or not state.parts.fields:
            return state.input
        return Partial("", state.input, state.parts)

    def _mocked(self, name: str) -> str | FixedValue | None:
        return self._state.functions.get(name)

    def _swap(self, state: object) -> object:
        before = self._state
        assert isinstance(state, _State)
        self._state = state
        return before

    def _within(self, withs: Sequence[With], values: Sequence[Found]) -> object:
        state = replace(self._state, values={})
        for each, value in zip(withs, values, strict=True):
            target = each.target
            if isinstance(target, Call):
                state.functions = {
                    **state.functions,
                    target.name: each.function or FixedValue(value),
                }
            elif isinstance(target, RefTerm) and isinstance(target.head, Var):
                path = tuple(part.value for part in target.path if isinstance(part, Scalar))
                if target.head.name == "input":
                    _replace_input(state, path, value)
                else:
                    state.data = {**state.data, tuple(map(str, path)): value}
        return state

    # -- rules --

    def _data(self, path: Sequence[Term], env: Environment) -> Iterator[Found]:
        yield from self._at(self._root, path, env)

    def _at(self, node: RuleNode, path: Sequence[Term], env: Environment) -> Iterator[Found]:
        if node.path in self._state.data:
            yield from self._walk(self._state.data[node.path], path, env)
        elif node.is_function:
            return
        elif node.rules or not path:
            value = self._whole(node)
            if not isinstance(value, Missing):
                yield from self._walk(value, path, env)
        elif is_pattern(path[0], env):
            for name, child in sorted(node.children.items()):
                for _ in self._match(path[0], name, env):
                    yield from self._at(child, path[1:], env)
        else:
            for key in self._values(path[0], env):
                below = self._child(node, key)
                if below is not None:
                    yield from self._at(below, path[1:], env)

    def _child(self, node: RuleNode, key: Found) -> RuleNode | None:
        if not isinstance(key, str):
            return None
        path = (*node.path, key)
        replaced = any(each[: len(path)] == path for each in self._state.data)
        return node.children.get(key) or (RuleNode(path) if replaced else None)

    def _whole(self, node: RuleNode) -> Found | Missing:
        values = self._state.values
        if node not in values:
            values[node] = self._computed(node)
        return values[node]

    def _computed(self, node: RuleNode) -> Found | Missing:
        if not node.rules:
            return self._package(node)
        kinds = {kind(rule) for rule in node.rules}
        if kinds == {"complete"}:
            return self._complete(node)
        return self._set(node) if kinds == {"set"} else self._object_of(node)

    def _package(self, node: RuleNode) -> Found | Missing:
        """A place with others below it: an object of what stands there."""
        fields: dict[Value, Value] = {}
        refs: set[str] = set()
        for name, child in node.children.items():
            if child.is_function:
                continue
            value = self._whole(child)
            if isinstance(value, Missing):
                continue
            unknown = whole([value])
            if unknown:
                refs |= unknown.refs
            elif not isinstance(value, Unknown | Partial):
                fields[name] = value
        return Unknown(frozenset(refs)) if refs else Object(fields)

    def _complete(self, node: RuleNode) -> Found | Missing:
        outcome = _Outcome(COMPLETE)
        rules = [rule for rule in node.rules if not rule.is_default]
        same = not self._state.parts.fields and _same_constant(rules)
        for rule in rules:
            self._branches(rule, Environment(), outcome)
            if same and outcome.decided:
                break
        if outcome.is_empty:
            return self._default(node)
        return outcome.value

    def _branches(self, rule: Rule, env: Environment, outcome: _Outcome) -> None:
        """The first branch that has solutions counts."""
        for branch in rule.branches:
            has_solution = False
            mark = len(env.assumed)
            for _ in self._solutions(branch.body, env):
                for value in self._values(branch.value, env):
                    outcome.add(value, env.since(mark), branch.value)
                    has_solution = has_solution or not env.since(mark)
                if has_solution and isinstance(branch.value, Scalar):
                    break
            if has_solution:
                return

    def _default(self, node: RuleNode) -> Found | Missing:
        for rule in node.rules:
            if rule.is_default and not rule.keys:
                return next(self._values(rule.branches[0].value, Environment()), MISSING)
        return MISSING

    def _set(self, node: RuleNode) -> Found:
        members: set[Value] = set()
        refs: set[str] = set()
        for rule in node.rules:
            env = Environment()
            assert rule.element is not None
            for _ in self._solutions(rule.branches[0].body, env):
                for value in self._values(rule.element, env):
                    unknown = whole([value])
                    refs |= env.since(0) | (unknown.refs if unknown else frozenset())
                    if not isinstance(value, Unknown | Partial):
                        members.add(value)
        return Unknown(frozenset(refs)) if refs else frozenset(members)

    def _object_of(self, node: RuleNode) -> Found:
        """Rules with keys, of one or several steps; sets may stand below keys."""
        tree: dict[Value, object] = {}
        refs: set[str] = set()
        for rule in node.rules:
            env = Environment()
            branch = rule.branches[0]
            last = rule.element if rule.element is not None else branch.value
            for _ in self._solutions(branch.body, env):
                for items in self._product([*rule.keys, last], env):
                    unknown = whole(items)
                    refs |= env.since(0) | (unknown.refs if unknown else frozenset())
                    if not unknown:
                        _plant(tree, items, rule)
        return Unknown(frozenset(refs)) if refs else _grown(tree)

    # -- functions --

    def _call(self, name: str, args: Sequence[Found]) -> Iterator[Found]:
        if name in self._functions:
            yield from self._builtin(name, args)
            return
        node = self._root.find(tuple(name.split(".")[1:]))
        if node is None or not node.is_function:
            return
        outcome = _Outcome(FUNCTIONS)
        for rule in node.rules:
            if rule.is_default or rule.args is None or len(rule.args) != len(args):
                continue
            env = Environment()
            for _ in self._match_all(rule.args, args, env):
                self._branches(rule, env, outcome)
        value = self._default(node) if outcome.is_empty else outcome.value
        if not isinstance(value, Missing):
            yield value


class _Outcome:
    """The one value that several rules agree on."""

    def __init__(self, message: str) -> None:
        self._message = message
        self._found: Found | Missing = MISSING
        self._refs: set[str] = set()

    @property
    def is_empty(self) -> bool:
        return isinstance(self._found, Missing) and not self._refs

    @property
    def decided(self) -> bool:
        """A value is sure."""
        return not isinstance(self._found, Missing)

    @property
    def value(self) -> Found | Missing:
        return Unknown(frozenset(self._refs)) if self._refs else self._found

    def add(self, value: Found, assumed: frozenset[str], term: Term) -> None:
        if isinstance(value, Unknown):
            assumed |= value.refs
        if assumed:
            self._refs |= assumed
        elif not isinstance(self._found, Missing) and self._found != value:
            raise conflict(term, self._message)
        else:
            self._found = value


def _same_constant(rules: Sequence[Rule]) -> bool:
    """All rules have one and the same value: the first that holds will do."""
    values = [rule.branches[0].value for rule in rules if len(rule.branches) == 1]
    constants = {each.value for each in values if isinstance(each, Scalar)}
    return (
        len(values) == len(rules)
        and len(constants) == 1
        and all(isinstance(each, Scalar) for each in values)
    )


def _plant(tree: dict[Value, object], items: Sequence[Found], rule: Rule) -> None:
    """Put a value below its keys. Raises when another one stands there."""
    *keys, value = (each for each in items if not isinstance(each, Unknown | Partial))
    for key in keys[:-1]:
        below = tree.setdefault(key, {})
        if not isinstance(below, dict):
            raise conflict(rule.branches[0].value, KEYS)
        tree = below
    if not keys:
        _plant_whole(tree, value, rule)
    elif rule.element is not None:
        below = tree.setdefault(keys[-1], set())
        if not isinstance(below, set):
            raise conflict(rule.branches[0].value, KEYS)
        below.add(value)
    elif rule.is_default and keys[-1] in tree:
        return
    elif keys[-1] in tree and tree[keys[-1]] != value:
        raise conflict(rule.branches[0].value, KEYS)
    else:
        tree[keys[-1]] = value


def _plant_whole(tree: dict[Value, object], value: Value, rule: Rule) -> None:
    """A complete rule beside ones with keys: its value is an object like theirs."""
    if not isinstance(value, Object):
        raise conflict(rule.branches[0].value, COMPLETE)
    for key, each in value.items():
        if key in tree and tree[key] != each:
            raise conflict(rule.branches[0].value, KEYS)
        tree[key] = each


def _grown(tree: Mapping[Value, object]) -> Object:
    fields: dict[Value, Value] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            fields[key] = _grown(value)
        elif isinstance(value, set):
            fields[key] = frozenset(value)
        else:
            fields[key] = value  # type: ignore[assignment]  # a value, as it was planted
    return Object(fields)


def _replace_input(state: _State, path: Sequence[Value], value: Found) -> None:
    """Put a value into the input: of a replaced one nothing is unknown but what the replacement
    doesn't know."""
    if isinstance(value, Partial):
        state.parts, value = value.parts, value.value
    elif not path:
        state.parts = Parts()
    if isinstance(value, Unknown):
        return
    before = Object() if isinstance(state.input, Missing) else state.input
    state.input = _put(before, path, value)


def _put(value: Value, path: Sequence[Value], new: Value) -> Value:
    if not path:
        return new
    before = value if isinstance(value, Object) else Object()
    below = before[path[0]] if path[0] in before else Object()
    return Object({**dict(before.items()), path[0]: _put(below, path[1:], new)})
