"""Which targets a command is about: patterns, groups, inheritance, overrides and links."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct, field

from croze.bake.definition.read import Definition
from croze.bake.errors import BakeError
from croze.bake.options.entries import OutputEntry
from croze.bake.overrides import GrantedPrivileges, Overrides, apply_overrides, parse_overrides
from croze.bake.paths import rebased
from croze.bake.recursion import deep_recursion
from croze.bake.target import Group, Target
from croze.bake.world import World
from croze.gotypes import glob
from croze.gotypes.quote import quote

_LINK = "target:"

_MOST_POLICIES = 1000


class Selection(Struct):
    """What is built: targets by name, and the groups that led to them."""

    targets: dict[str, Target] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    granted: GrantedPrivileges = field(default_factory=GrantedPrivileges)


def select_targets(
    definition: Definition, names: Sequence[str], overrides: Iterable[str], world: World
) -> Selection:
    """Resolve the named targets and groups, and all targets that these link to."""
    selector = _Selector(definition)
    with deep_recursion():
        selector.select(names, overrides, world)
    return selector.selection


class _Selector:
    def __init__(self, definition: Definition) -> None:
        self.definition = definition
        self.groups: dict[str, Group] = {}
        for group in definition.groups:
            self.groups.setdefault(group.name, group)
        self.targets: dict[str, Target] = {}
        for target in definition.targets:
            self.targets.setdefault(target.name, target)
        self.overrides: Overrides = {}
        self.selection = Selection()
        self._linked: set[str] = set()

    def select(self, names: Sequence[str], overrides: Iterable[str], world: World) -> None:
        unique = dict.fromkeys(
            each for name in names for each in self.matching(name.replace(".", "_"))
        )
        every_target = [each.name for each in self.definition.targets]
        self.overrides = parse_overrides(overrides, every_target, world.environment)
        selection = self.selection
        for name in unique:
            targets, groups = self.members(name)
            for target in targets:
                if target not in selection.targets:
                    selection.targets[target] = self.resolved(target)
            for group in groups:
                selection.groups[group] = self.groups[group]
        self.add_default(list(unique))
        for name in list(selection.targets):
            self.link(name, selection.targets[name], [])

    def matching(self, name: str) -> list[str]:
        if not set(name) & set("*?[]"):
            return [name]
        names: list[str] = []
        try:
            pattern = glob.compile_glob(name)
            candidates = [each.name for each in self.definition.groups]
            candidates += [each.name for each in self.definition.targets]
            names = [each for each in candidates if pattern.matches(each)]
        except glob.BadPattern:
            pass
        if not names:
            raise BakeError(f"could not find any target matching {quote(name)}")
        return names

    def members(self, name: str) -> tuple[list[str], list[str]]:
        """The targets that a name stands for, and the groups on the way to them.

        As in the original, a group in a group counts for a target if it has no members, or is
        among its own.
        """
        targets: dict[str, None] = {}
        groups: dict[str, None] = {}
        inside: set[str] = set()
        waiting: list[tuple[str, bool]] = [(name, False)]
        while waiting:
            each, leaving = waiting.pop()
            if leaving:
                inside.discard(each)
            elif (
                each not in self.groups
                or each in inside
                or (not self.groups[each].targets and each != name)
            ):
                targets[each] = None
            elif each not in groups:
                inside.add(each)
                waiting.append((each, True))
                waiting.extend((member, False) for member in reversed(self.groups[each].targets))
            groups.update(dict.fromkeys([each] if each in self.groups else []))
        return list(targets), list(groups)

    def resolved(self, name: str) -> Target:
        """The target with all it inherits and all that overrides it."""
        target = self._inherited(name, {}).copy()
        target.inherits = None
        if target.context is None:
            base = target.bases.default if target.bases.use_default else None
            target.context = "." if base is None else rebased(base, ".")
        target.dockerfile = target.dockerfile or "Dockerfile"
        return target

    def _inherited(self, name: str, visited: dict[str, Target | None]) -> Target:
        """Ancestors first. A target that inherits from itself gets nothing from that."""
        target = self.targets.get(name)
        if target is None:
            raise BakeError(f"failed to find target {name}")
        visited[name] = None
        merged = Target()
        for parent in target.inherits or ():
            ancestor = visited[parent] if parent in visited else self._inherited(parent, visited)
            if ancestor is not None:
                merged.merge(ancestor)
        merged.merge(target)
        merged.name = target.name
        merged.inherits = None  # or it would double where a target is inherited twice
        if len(merged.policy or ()) > _MOST_POLICIES:
            raise BakeError(f"target {name} has more than {_MOST_POLICIES} policies")
        apply_overrides(merged, self.overrides.get(name, {}), self.selection.granted)
        merged.normalize()
        visited[name] = merged
        return merged

    def add_default(self, names: list[str]) -> None:
        """What was asked for is the group `default`, unless that was what was asked for."""
        groups = self.selection.groups
        for name in names:
            if name == "default" and "default" in groups:
                continue
            default = groups.get("default", Group("default"))
            groups["default"] = Group("default", [*default.targets, name], default.description)
        if "default" in groups:
            default = groups["default"]
            ordered = sorted(dict.fromkeys(default.targets))
            groups["default"] = Group("default", ordered, default.description)
            groups["default"].has_list = default.has_list or bool(ordered)

    def link(self, name: str, target: Target, path: list[str]) -> None:
        """Resolve the targets whose results this one uses as contexts."""
        path = [*path, name]
        for value in (target.contexts or {}).values():
            if not value.startswith(_LINK):
                continue
            other = value.removeprefix(_LINK)
            if other == name:
                raise BakeError(f"target {other} cannot link to itself")
            if other in path:
                raise BakeError(f"infinite loop from {name} to {other}")
            linked = self.selection.targets.get(other)
            if linked is None:
                linked = self.resolved(other)
                linked.output = [OutputEntry("cacheonly")]
                linked.linked = True
                self.selection.targets[other] = linked
            if other not in self._linked:
                self.link(other, linked, path)
                self._linked.add(other)
            _inherit_entitlements(target, linked)
            _check_platforms(name, target, other, linked)


def _inherit_entitlements(target: Target, linked: Target) -> None:
    own = target.entitlements or []
    target.entitlements = [*own, *(each for each in linked.entitlements or () if each not in own)]


def _check_platforms(name: str, target: Target, other: str, linked: Target) -> None:
    own, theirs = target.platforms or (), linked.platforms or ()
    if len(own) > 1 and len(theirs) > 1 and not set(own) <= set(theirs):
        raise BakeError(
            f"target {other} can't be used by {name} because its platforms "
            f"[{' '.join(own)}] are not a "
            f"subset of [{' '.join(theirs)}]"
        )
