"""Native and JSON files to targets, groups and variables."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from msgspec import Struct, field

from croze.bake.definition.blocks import Blocks, blocks_by_name
from croze.bake.definition.declarations import Declarations, VariableBlock, read_declarations
from croze.bake.definition.resolver import told_at
from croze.bake.definition.validations import check_variables
from croze.bake.hcl.content import AnyBlock, AnyBody, BodySchema
from croze.bake.hcl.function import Function
from croze.bake.hcl.source import Diagnostic, HclError
from croze.bake.hcl.syntax import Attr, Attribute, LiteralIndex, Variable
from croze.bake.target import Group, Target
from croze.bake.values import json
from croze.bake.values.convert import ConversionError, to_string
from croze.bake.values.json import JsonError
from croze.bake.values.types import STRING
from croze.bake.values.value import Value
from croze.bake.world import BakeSettings

_LABELS = {"group": ("name",), "target": ("name",)}
_KNOWN = BodySchema(blocks=_LABELS)
_RESERVED = frozenset(_LABELS)
_BLOCKS = _RESERVED | {"variable", "function"}


class VariableInfo(Struct, frozen=True):
    """A variable as `--list` shows it; no value for null."""

    name: str
    description: str
    type: str
    value: str | None


class Definition(Struct):
    """Groups and targets, in the order of their definition. The first of a name counts; variables
    are None where no file is in Bake's own language."""

    groups: list[Group] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    variables: list[VariableInfo] | None = None


def read_definition(
    bodies: Sequence[AnyBody],
    settings: BakeSettings,
    environment: Mapping[str, str],
    functions: Mapping[str, Function],
    into: Definition,
) -> None:
    """Evaluate the files and add what they define; HclError with all that is wrong."""
    problems: list[Diagnostic] = []
    reserved = _RESERVED | frozenset(settings.builtins)
    declared = read_declarations(bodies, reserved, problems)
    _stop(problems)
    blocks = [block for body in bodies for block in body.content(_KNOWN, problems).blocks]
    _stop(problems)
    attributes = _top_attributes(bodies, reserved, problems)
    _stop(problems)
    outside = {**environment, **settings.variables}
    resolver = Blocks(declared, attributes, settings.builtins, outside, functions)
    resolver.start()
    into.variables = _variables(resolver, declared)
    check_variables(declared.variables.values(), resolver.scope)
    for name, function in declared.functions.items():
        params = function.params
        with told_at("Invalid function", params.range if params else function.name_range):
            resolver.function(name)
    resolver.show_blocks()
    _read_blocks(resolver, blocks, into)
    for name, attribute in attributes.items():
        with told_at("Invalid attribute", attribute.range):
            resolver.value(name)


def _stop(problems: list[Diagnostic]) -> None:
    if problems:
        raise HclError(problems)


def _top_attributes(
    bodies: Sequence[AnyBody], reserved: frozenset[str], problems: list[Diagnostic]
) -> dict[str, Attribute]:
    """Attributes outside of blocks, which are variables, too; of two with one name the later
    counts."""
    attributes: dict[str, Attribute] = {}
    for body in bodies:
        attributes.update(body.just_attributes(_BLOCKS, problems))
    return {name: each for name, each in attributes.items() if name not in reserved}


def _variables(resolver: Blocks, declared: Declarations) -> list[VariableInfo]:
    variables: list[VariableInfo] = []
    for name, variable in declared.variables.items():
        with told_at("Invalid value", variable.missing_range):
            resolver.value(name)
        variables.append(_info(variable, resolver.variables[name]))
    return variables


def _info(variable: VariableBlock, value: Value) -> VariableInfo:
    constraint = variable.constraint
    type_ = "" if constraint is None else constraint.name(constraint=True)
    text = None if value.is_null else _shown(variable, value)
    return VariableInfo(variable.name, variable.description, type_, text)


def _shown(variable: VariableBlock, value: Value) -> str:
    if variable.constraint is None and value.type.is_primitive:
        return to_string(value).text
    try:
        shown = json.to_json(value)
    except JsonError:
        return ""
    return shown.strip('"') if variable.constraint == STRING else shown


def _read_blocks(resolver: Blocks, blocks: Sequence[AnyBlock], into: Definition) -> None:
    names: dict[AnyBlock, list[str]] = {}
    for block in blocks:
        with told_at("Invalid name", block.label_ranges[0]):
            names[block] = resolver.names(block)
    resolver.set_names(blocks_by_name(blocks, names))
    problems: list[Diagnostic] = []
    groups = {each.name: index for index, each in enumerate(into.groups)}
    targets = {each.name: each for each in into.targets}
    for block in blocks:
        try:
            with told_at("Invalid block", block.label_ranges[0]):
                resolver.resolve(block)
        except HclError as error:
            if any(each.summary == "Invalid block" for each in error.diagnostics):
                raise
            problems.extend(error.diagnostics)
            continue
        for instance in resolver.instances(block):
            held = instance.held
            if isinstance(held, Group):
                _put_group(held, groups, into)
            else:
                _put_target(held, block, targets, into)
    _stop(problems)
    _add_matrix_groups(blocks, names, into)
    for group in into.groups:
        group.targets = list(dict.fromkeys(group.targets))


def _put_group(group: Group, places: dict[str, int], into: Definition) -> None:
    if group.name in places:
        into.groups[places[group.name]] = group
    else:
        places[group.name] = len(into.groups)
        into.groups.append(group)


def _put_target(
    target: Target, block: AnyBlock, targets: dict[str, Target], into: Definition
) -> None:
    _set_bases(target, block)
    if target.name in targets:
        targets[target.name].merge(target)
    else:
        # Not a copy: what other blocks of the name add is seen by references to this one, too.
        targets[target.name] = target
        into.targets.append(targets[target.name])


def _set_bases(target: Target, block: AnyBlock) -> None:
    """Where paths of the target were written."""
    base = file_directory(block.definition_range.filename)
    bases = target.bases
    bases.default = base
    attributes = block.body.content(
        BodySchema({"context": False, "contexts": False}), []
    ).attributes
    if "context" in attributes:
        bases.context = base
        bases.context_from = _context_reference(attributes["context"])
    if "contexts" in attributes:
        bases.contexts = dict.fromkeys(target.contexts or (), base)


def file_directory(name: str) -> str:
    """The directory of a definition; empty for standard input and for what is not here."""
    if name in ("", "-") or "://" in name:
        return ""
    return os.path.dirname(name) or "."


def _context_reference(attribute: Attribute) -> str:
    """The target in `context = target.name.context`, or nothing."""
    expression = attribute.expression
    if not isinstance(expression, Variable) or expression.name != "target":
        return ""
    match expression.steps:
        case [Attr(name=name), Attr(name="context")]:
            return name
        case [LiteralIndex(key=key), Attr(name="context")]:
            try:
                converted = to_string(key)
            except ConversionError:
                return ""
            return converted.raw if isinstance(converted.raw, str) else ""
    return ""


def _add_matrix_groups(
    blocks: Sequence[AnyBlock], names: Mapping[AnyBlock, list[str]], into: Definition
) -> None:
    """A block that has become several targets, or another one, is a group of them."""
    renamed: dict[tuple[str, str], dict[str, None]] = {}
    for block in blocks:
        if names[block]:
            key = (block.type, block.labels[0])
            renamed.setdefault(key, {}).update(dict.fromkeys(names[block]))
    for (_, label), labels in renamed.items():
        if list(labels) != [label]:
            into.groups.append(Group(label, list(labels)))
