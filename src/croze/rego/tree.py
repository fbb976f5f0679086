"""Rules by their place below `data`."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct, field
from msgspec.structs import replace

from croze.rego.errors import TYPE, Problem
from croze.rego.syntax import Rule, Scalar


class RuleNode(Struct, eq=False):
    """A place below `data`, where rules stand, or further places."""

    path: tuple[str, ...]
    """Below `data`."""
    rules: list[Rule] = field(default_factory=list)
    children: dict[str, RuleNode] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return ".".join(("data", *self.path))

    @property
    def is_function(self) -> bool:
        return bool(self.rules) and self.rules[0].args is not None

    def below(self) -> Iterator[RuleNode]:
        """This place and all below it."""
        yield self
        for child in self.children.values():
            yield from child.below()

    def find(self, path: tuple[str, ...]) -> RuleNode | None:
        node: RuleNode | None = self
        for name in path:
            node = node.children.get(name) if node is not None else None
        return node


def insert(root: RuleNode, package: tuple[str, ...], rule: Rule) -> None:
    node = root
    for name in (*package, *rule.name):
        node = node.children.setdefault(name, RuleNode((*node.path, name)))
    node.rules.append(rule)


def absorb(node: RuleNode) -> None:
    """Turn rules below a place that has rules with keys into rules with keys of that place."""
    for child in node.children.values():
        absorb(child)
    if not node.rules or not node.children:
        return
    for child in list(node.children.values()):
        for below in child.below():
            rest = below.path[len(node.path) :]
            for rule in below.rules:
                keys = tuple(Scalar(name, rule.at) for name in rest)
                node.rules.append(replace(rule, keys=(*keys, *rule.keys)))
    node.children.clear()


def kind(rule: Rule) -> str:
    """`function`, `set`, `object` or `complete`."""
    if rule.args is not None:
        return "function"
    if rule.keys:
        return "object"
    return "set" if rule.element is not None else "complete"


def conflicts(node: RuleNode) -> Iterator[Problem]:
    """Rules that can't stand in one place."""
    for each in node.below():
        defaults = [rule for rule in each.rules if rule.is_default and not rule.keys]
        if len(defaults) > 1:
            places = ", ".join(str(rule.at) for rule in defaults)
            message = f"multiple default rules {each.name} found at {places}"
            yield Problem(TYPE, message, replace(defaults[0].at, row=1))
        kinds = {kind(rule) for rule in each.rules}
        arities = {len(rule.args) for rule in each.rules if rule.args is not None}
        if len(arities) > 1 or (len(kinds) > 1 and kinds != {"object", "set"}):
            yield Problem(TYPE, f"conflicting rules {each.name} found", each.rules[0].at)
