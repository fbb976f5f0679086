"""From modules to a tree of rules that can be evaluated."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from croze.rego.check.calls import call_problems
from croze.rego.check.rules import type_problems
from croze.rego.check.scope import CheckContext
from croze.rego.check.types import FunctionType
from croze.rego.compile import names, safety
from croze.rego.compile.flatten import Flattening
from croze.rego.errors import RECURSION, Problem, RegoError, raise_all
from croze.rego.syntax import (
    Branch,
    Call,
    Comprehension,
    Every,
    Expr,
    Module,
    RefTerm,
    Rule,
    Scalar,
    Term,
    Var,
    present,
    subterms,
    terms_of,
)
from croze.rego.tree import RuleNode, absorb, conflicts, insert

MOST_TOLD = 10
"""How many are told of rules that need themselves."""
Load = Callable[[tuple[str, ...], Module], Module | None]
"""The module of an imported package, for one that wants it; None if there is none to load."""


class Builtins(Struct, frozen=True):
    """The built-in functions that modules see."""

    names: Collection[str]
    lent: Mapping[str, FunctionType]
    """The functions beside the library's."""
    deprecated: frozenset[str]


def with_imports(modules: Iterable[Module], load: Load) -> list[Module]:
    """The modules, and those that they import. Raises what `load` does."""
    extended = list(modules)
    for module in extended:
        for each in module.imports:
            if each.path[0] == "data":
                loaded = load(each.path[1:], module)
                if loaded is not None and all(loaded.file != other.file for other in extended):
                    extended.append(loaded)
    return extended


def compiled(modules: Iterable[Module], functions: Builtins) -> RuleNode:
    """The tree of all rules of the modules. Raises `RegoError`."""
    try:
        return _compiled(list(modules), functions)
    except RecursionError:
        raise RegoError("rego_compile_error: max recursion depth exceeded") from None


def _compiled(modules: Sequence[Module], functions: Builtins) -> RuleNode:
    defined: dict[tuple[str, ...], set[str]] = {}
    for module in modules:
        defined.setdefault(module.package, set()).update(rule.name[0] for rule in module.rules)
    problems: list[Problem] = []
    root = RuleNode(())
    for module in modules:
        try:
            seen = names.names_of(module, frozenset(defined[module.package]), functions.names)
        except Problem as problem:
            problems.append(problem)
            continue
        for rule in module.rules:
            try:
                insert(root, module.package, names.resolved(rule, seen))
            except Problem as problem:
                problems.append(problem)
    problems.extend(conflicts(root))
    raise_all(problems)
    raise_all(call_problems(root, functions.lent, functions.deprecated))
    absorb(root)
    _order(root, CheckContext(root, functions.lent), problems)
    raise_all(problems)
    uses = {node: set(_used(node, root)) for node in root.below() if node.rules}
    raise_all(list(_recursions(uses)))
    raise_all(type_problems(root, _by_use(uses), functions.lent))
    return root


def _order(root: RuleNode, world: CheckContext, problems: list[Problem]) -> None:
    for node in root.below():
        node.rules = [_ordered(rule, world, problems) for rule in node.rules]


def _ordered(rule: Rule, world: CheckContext, problems: list[Problem]) -> Rule:
    flattening = Flattening(world.arity)
    keys: list[Term] = []
    key_bodies: list[Expr] = []
    for key in rule.keys:
        before, flattened = flattening.head(key)
        keys.append(flattened)
        key_bodies += before
    element = rule.element
    if element is not None:
        before, element = flattening.head(element)
        key_bodies += before
    heads = [*keys, *([element] if element is not None else [])]
    branches = []
    for branch in rule.branches:
        before, value = flattening.head(branch.value)
        body = (*flattening.body(branch.body), *key_bodies, *before)
        flat = Branch(value, body, branch.at)
        branches.append(safety.ordered_branch(flat, heads, rule.args or (), problems))
    return replace(rule, keys=tuple(keys), element=element, branches=tuple(branches))


# -- rules that need themselves --


def _by_use(uses: Mapping[RuleNode, set[RuleNode]]) -> Iterator[RuleNode]:
    """Each after those that it uses; none uses itself."""
    seen: set[RuleNode] = set()
    for start in uses:
        stack = [(start, False)]
        while stack:
            node, ready = stack.pop()
            if ready:
                yield node
            elif node not in seen:
                seen.add(node)
                stack.append((node, True))
                stack += [(used, False) for used in uses[node]]


def _recursions(uses: Mapping[RuleNode, set[RuleNode]]) -> Iterator[Problem]:
    for node in itertools.islice(_near_cycles(uses), MOST_TOLD):
        cycle = _cycle(node, uses)
        if cycle:
            shown = " -> ".join(each.name for each in cycle)
            message = f"rule {node.name} is recursive: {shown}"
            yield Problem(RECURSION, message, node.rules[0].at)


def _near_cycles(uses: Mapping[RuleNode, set[RuleNode]]) -> Iterator[RuleNode]:
    """The rules that use themselves, or rules that do: what is left when those that use nothing
    any more are taken away, again and again."""
    use_counts = {node: len(used) for node, used in uses.items()}
    users: dict[RuleNode, list[RuleNode]] = {}
    for node, used in uses.items():
        for each in used:
            users.setdefault(each, []).append(node)
    free = [node for node, count in use_counts.items() if not count]
    while free:
        for user in users.get(free.pop(), ()):
            use_counts[user] -= 1
            if not use_counts[user]:
                free.append(user)
    return (node for node, count in use_counts.items() if count)


def _cycle(start: RuleNode, uses: Mapping[RuleNode, set[RuleNode]]) -> list[RuleNode]:
    """The shortest way back to the start; empty if there is none."""
    came: dict[RuleNode, RuleNode] = {}
    waiting = deque([start])
    while waiting and start not in came:
        node = waiting.popleft()
        for used in uses[node]:
            if used not in came:
                came[used] = node
                waiting.append(used)
    if start not in came:
        return []
    way = [start, came[start]]
    while way[-1] is not start:
        way.append(came[way[-1]])
    return way[::-1]


def _used(node: RuleNode, root: RuleNode) -> Iterator[RuleNode]:
    for rule in node.rules:
        for term in _rule_terms(rule):
            for path in _paths(term):
                yield from _reached(root, path)


def _reached(root: RuleNode, path: tuple[str, ...]) -> Iterator[RuleNode]:
    node = root
    for name in path:
        if node.rules:
            break
        child = node.children.get(name)
        if child is None:
            return
        node = child
    yield from (each for each in node.below() if each.rules)


def _paths(term: Term) -> Iterator[tuple[str, ...]]:
    """The places below `data` that a term names."""
    match term:
        case RefTerm(head=Var(name="data")):
            path: list[str] = []
            for part in term.path:
                if not isinstance(part, Scalar) or not isinstance(part.value, str):
                    break
                path.append(part.value)
            yield tuple(path)
        case Call() if term.name.startswith("data."):
            yield tuple(term.name.split(".")[1:])
    for inner in subterms(term):
        yield from _paths(inner)
    if isinstance(term, Comprehension):
        for each in (*present(term.key, term.value), *_body_terms(term.body)):
            yield from _paths(each)


def _rule_terms(rule: Rule) -> Iterator[Term]:
    yield from rule.keys
    if rule.element is not None:
        yield rule.element
    for branch in rule.branches:
        yield branch.value
        yield from _body_terms(branch.body)


def _body_terms(body: Iterable[Expr]) -> Iterator[Term]:
    for expr in body:
        yield from terms_of(expr.literal)
        for each in expr.withs:
            yield each.value
        if isinstance(expr.literal, Every):
            yield from _body_terms(expr.literal.body)
