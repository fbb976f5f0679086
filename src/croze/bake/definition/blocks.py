"""Target and group blocks: evaluated attribute by attribute, as others refer to them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial

from msgspec import Struct, field

from croze.bake.definition.attributes import group_value, read_attribute, target_value
from croze.bake.definition.matrix import check_name, name_of, scopes_of
from croze.bake.definition.resolver import NameResolver
from croze.bake.errors import BakeError
from croze.bake.hcl.content import AnyBlock, BodyContent, BodySchema
from croze.bake.hcl.scope import Scope
from croze.bake.hcl.source import Diagnostic, HclError
from croze.bake.hcl.syntax import Attr, Expression, Variable
from croze.bake.target import ATTRIBUTES, Group, Target
from croze.bake.values.types import MAP_OF_STRING
from croze.bake.values.value import Value, map_value

_GROUP = BodySchema({"description": False, "targets": True})
_TARGET = BodySchema(dict.fromkeys(ATTRIBUTES, False))
_SCHEMAS: Mapping[str, BodySchema] = {"group": _GROUP, "target": _TARGET}


class Instance(Struct, eq=False):
    """One target or group that a block is, and how far it has been evaluated."""

    scope: Scope
    held: Target | Group
    name: str
    evaluated: set[str] = field(default_factory=set)
    started: set[str] = field(default_factory=set)


class Blocks(NameResolver):
    """The resolver that knows blocks, too: `target.name.attribute` is a name like any other."""

    def start(self) -> None:
        """Begin without any block."""
        self._instances: dict[AnyBlock, list[Instance]] = {}
        self._by_name: dict[str, dict[str, list[AnyBlock]]] = {}
        self._contents: dict[AnyBlock, BodyContent] = {}
        self._values: dict[str, dict[str, Value]] = {"target": {}, "group": {}}
        self._weights = {"target": 1, "group": 1}
        self._changed: dict[str, dict[str, Target | Group]] = {"target": {}, "group": {}}
        self._named: dict[AnyBlock, list[str]] = {}
        self._visible = False

    def show_blocks(self) -> None:
        """Let `target` and `group` be names of blocks in expressions from here on: for variables
        and functions they are names that nobody has defined."""
        self._visible = True

    def set_names(self, named: Mapping[str, dict[str, list[AnyBlock]]]) -> None:
        self._by_name = dict(named)

    def load_variable(self, variable: Variable, scope: Scope, expression: Expression) -> None:
        own = variable.name in scope.variables and scope is not self.scope
        if variable.name not in _SCHEMAS or own or not self._visible:
            super().load_variable(variable, scope, expression)
            return
        kind = variable.name
        if not variable.steps:
            raise BakeError(f"cannot access {kind} as a variable")
        first = variable.steps[0]
        if not isinstance(first, Attr):
            raise BakeError(f"cannot traverse {kind} without attribute")
        second = variable.steps[1] if len(variable.steps) > 1 else None
        only = second.name if isinstance(second, Attr) else None
        for block in self._by_name.get(kind, {}).get(first.name, ()):
            self.resolve(block, only)

    def instances(self, block: AnyBlock) -> list[Instance]:
        """The targets or groups that a block is, not evaluated yet."""
        instances = self._instances.get(block)
        if instances is not None:
            return instances
        scopes = scopes_of(block, self.scope, self.load)
        label = block.labels[0]
        instances = [Instance(each, _empty(block), label) for each in scopes]
        self._instances[block] = instances
        return instances

    def names(self, block: AnyBlock) -> list[str]:
        """What the targets or groups of the block are called."""
        self._announce(block.type)
        names: list[str] = []
        for instance in self.instances(block):
            check_name(block.labels[0])
            name = name_of(block, instance.scope, self.load)
            check_name(name)
            instance.held.name = name
            instance.name = name
            names.append(name)
        for index, name in enumerate(names):
            if name in names[:index]:
                raise BakeError(f'duplicate name "{name}"')
        return names

    def _announce(self, kind: str) -> None:
        if kind not in self.variables:
            self.variables[kind] = map_value({}, MAP_OF_STRING)

    def _content(self, block: AnyBlock) -> BodyContent:
        content = self._contents.get(block)
        if content is None:
            problems: list[Diagnostic] = []
            content = block.body.content(_SCHEMAS[block.type], problems)
            if problems:
                raise HclError(problems)
            self._contents[block] = content
        return content

    def resolve(self, block: AnyBlock, only: str | None = None) -> None:
        """Evaluate one attribute of a block, or all that are left."""
        self._announce(block.type)
        for instance in self.instances(block):
            if only is not None:
                if only in instance.evaluated:
                    return
                if only in instance.started:
                    where = f"{block.type}.{instance.name}.{only}"
                    raise BakeError(f"reference cycle not allowed for {where}")
                instance.started.add(only)
            self._evaluate(block, instance, only)

    def _evaluate(self, block: AnyBlock, instance: Instance, only: str | None) -> None:
        attributes = self._content(block).attributes
        if only is None:
            missing = {
                name: each for name, each in attributes.items() if name not in instance.evaluated
            }
        else:
            missing = {name: each for name, each in attributes.items() if name == only}
        for each in missing.values():
            self.load(each.expression, instance.scope)
        problems: list[Diagnostic] = []
        for name, each in missing.items():
            value = read_attribute(name, each.expression, instance.scope, problems)
            if value is not None:
                setattr(instance.held, ATTRIBUTES.get(name, name), value)
            elif isinstance(instance.held, Group) and name == "targets":
                instance.held.has_list = False
        if problems:
            raise HclError(problems)
        instance.evaluated.update(missing)
        if only is not None:
            instance.evaluated.add(only)
        self._publish(block.type, instance)

    def _publish(self, kind: str, instance: Instance) -> None:
        """Let expressions see the block as it is now."""
        self._changed[kind][instance.name] = instance.held
        self.variables.stale[kind] = partial(self._shown, kind)

    def _shown(self, kind: str) -> Value:
        """All blocks of a type as expressions see them, those anew that have changed."""
        values = self._values[kind]
        for name, held in self._changed[kind].items():
            if isinstance(held, Target):
                shown = target_value(held, ATTRIBUTES)
            else:
                shown = group_value(held)
            before = values.get(name)
            self._weights[kind] += shown.weight - (before.weight if before is not None else 0)
            values[name] = shown
        self._changed[kind].clear()
        return Value("object", values, weight=self._weights[kind])


def _empty(block: AnyBlock) -> Target | Group:
    label = block.labels[0]
    return Target(label) if block.type == "target" else Group(label)


def blocks_by_name(
    blocks: Iterable[AnyBlock], names: Mapping[AnyBlock, list[str]]
) -> dict[str, dict[str, list[AnyBlock]]]:
    """Blocks by type and by the names of what they are."""
    by_type: dict[str, dict[str, list[AnyBlock]]] = {"target": {}, "group": {}}
    for block in blocks:
        for name in names[block]:
            by_type[block.type].setdefault(name, []).append(block)
    return by_type
