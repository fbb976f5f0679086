"""What a body holds, according to a schema: the same for native files, for JSON, and for several
files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import msgspec

from croze.bake.hcl.json_syntax import JsonArray, JsonMember, JsonObject
from croze.bake.hcl.source import Diagnostic, SourceRange, did_you_mean
from croze.bake.hcl.syntax import Attribute, Block, Body, Expression, Literal
from croze.gotypes.quote import quote

_JSON_TYPE = "Incorrect JSON value type"


class BodySchema(msgspec.Struct, frozen=True):
    """Attributes and whether they must be there; block types and the names of their labels. In a
    `strict` one nothing else may stand."""

    attributes: Mapping[str, bool] = msgspec.field(default_factory=dict)
    blocks: Mapping[str, Sequence[str]] = msgspec.field(default_factory=dict)
    strict: bool = False


class AnyBody(Protocol):
    """A body in either syntax. Problems are added to `problems`."""

    @property
    def missing_range(self) -> SourceRange:
        """The place that messages give for something that is missing."""
        ...

    def content(self, schema: BodySchema, problems: list[Diagnostic]) -> BodyContent:
        """The attributes and blocks that `schema` names. Anything else that stands there, and
        anything required that does not, is a problem."""

    def just_attributes(
        self, hidden: frozenset[str], problems: list[Diagnostic]
    ) -> dict[str, Attribute]:
        """All attributes but the hidden names; blocks that stand there are ignored."""
        ...


class AnyBlock(msgspec.Struct, eq=False):
    type: str
    labels: list[str]
    body: AnyBody
    definition_range: SourceRange
    label_ranges: list[SourceRange]


class BodyContent(msgspec.Struct):
    attributes: dict[str, Attribute] = msgspec.field(default_factory=dict)
    blocks: list[AnyBlock] = msgspec.field(default_factory=list)


def _missing(name: str, where: SourceRange) -> Diagnostic:
    detail = f"The argument {quote(name)} is required, but no definition was found."
    return Diagnostic("Missing required argument", detail, where)


class NativeBody(msgspec.Struct, frozen=True):
    body: Body

    @property
    def missing_range(self) -> SourceRange:
        return self.body.missing_range

    def content(self, schema: BodySchema, problems: list[Diagnostic]) -> BodyContent:
        content = BodyContent()
        for name in schema.attributes:
            if name in self.body.attributes:
                content.attributes[name] = self.body.attributes[name]
            elif schema.attributes[name]:
                problems.append(_missing(name, self.missing_range))
        for block in self.body.blocks:
            labels = schema.blocks.get(block.type)
            if labels is not None and _labels_fit(block, labels, problems):
                content.blocks.append(_any_block(block))
        if schema.strict:
            problems += _unexpected(self.body, schema)
        return content

    def just_attributes(
        self, hidden: frozenset[str], problems: list[Diagnostic]
    ) -> dict[str, Attribute]:
        attributes = self.body.attributes
        return {name: each for name, each in attributes.items() if name not in hidden}


def _unexpected(body: Body, schema: BodySchema) -> Iterator[Diagnostic]:
    """What the schema has no place for, and what may have been meant."""
    for name, attribute in body.attributes.items():
        if name not in schema.attributes:
            free = (each for each in schema.attributes if each not in body.attributes)
            hint = did_you_mean(name, free)
            if not hint and name in schema.blocks:
                hint = f" Did you mean to define a block of type {quote(name)}?"
            detail = f"An argument named {quote(name)} is not expected here.{hint}"
            yield Diagnostic("Unsupported argument", detail, attribute.name_range)
    for block in body.blocks:
        if block.type not in schema.blocks:
            hint = did_you_mean(block.type, schema.blocks)
            if not hint and block.type in schema.attributes:
                hint = f" Did you mean to define argument {quote(block.type)}? If so, use the "
                hint += "equals sign to assign it a value."
            detail = f"Blocks of type {quote(block.type)} are not expected here.{hint}"
            yield Diagnostic("Unsupported block type", detail, block.type_range)


def _any_block(block: Block) -> AnyBlock:
    body = NativeBody(block.body)
    return AnyBlock(block.type, block.labels, body, block.definition_range, block.label_ranges)


def _labels_fit(block: Block, labels: Sequence[str], problems: list[Diagnostic]) -> bool:
    count, expected = len(block.labels), len(labels)
    if count > expected:
        if expected:
            named = ", ".join(labels)
            detail = f"Only {expected} labels ({named}) are expected for {block.type} blocks."
        else:
            detail = f"No labels are expected for {block.type} blocks."
        summary = f"Extraneous label for {block.type}"
        problems.append(Diagnostic(summary, detail, block.label_ranges[expected]))
    elif count < expected:
        detail = f"All {block.type} blocks must have {expected} labels ({', '.join(labels)})."
        summary = f"Missing {labels[count]} for {block.type}"
        problems.append(Diagnostic(summary, detail, block.open_range))
    return count == expected


class JsonBody(msgspec.Struct, frozen=True):
    value: Expression

    @property
    def missing_range(self) -> SourceRange:
        if isinstance(self.value, JsonObject):
            return self.value.close_range
        return self.value.start_range

    def content(self, schema: BodySchema, problems: list[Diagnostic]) -> BodyContent:
        content = BodyContent()
        for member in _members(self.value, "", problems):
            name = member.name
            if name in schema.attributes:
                earlier = content.attributes.get(name)
                if earlier is not None:
                    detail = f"The argument {quote(name)} was already set at {earlier.range}."
                    problems.append(Diagnostic("Duplicate argument", detail, member.name_range))
                else:
                    content.attributes[name] = _attribute(member)
            elif name in schema.blocks:
                _unpack(member, schema.blocks[name], content.blocks, problems)
            elif schema.strict and name != "//":
                hint = did_you_mean(name, (*schema.attributes, *schema.blocks))
                detail = f"No argument or block type is named {quote(name)}.{hint}"
                problems.append(
                    Diagnostic("Extraneous JSON object property", detail, member.name_range)
                )
        for name, required in schema.attributes.items():
            if required and name not in content.attributes:
                problems.append(_missing(name, self.missing_range))
        return content

    def just_attributes(
        self, hidden: frozenset[str], problems: list[Diagnostic]
    ) -> dict[str, Attribute]:
        attributes: dict[str, Attribute] = {}
        if not isinstance(self.value, JsonObject):
            detail = "A JSON object is required here, setting the arguments for this block."
            problems.append(Diagnostic(_JSON_TYPE, detail, self.value.start_range))
            return attributes
        for member in self.value.members:
            if member.name == "//" or member.name in hidden:
                continue
            if member.name in attributes:
                earlier = attributes[member.name]
                detail = f"The argument {quote(member.name)} was already set at {earlier.range}."
                problems.append(
                    Diagnostic("Duplicate attribute definition", detail, member.name_range)
                )
            else:
                attributes[member.name] = _attribute(member)
        return attributes


def _attribute(member: JsonMember) -> Attribute:
    return Attribute(member.name, member.value, member.range, member.name_range)


def _is_null(value: Expression) -> bool:
    return isinstance(value, Literal) and value.value.is_null


def _members(value: Expression, label: str, problems: list[Diagnostic]) -> list[JsonMember]:
    """The members of an object, or of all objects in an array."""
    purpose = (
        f"specify {label} labels for this block" if label else "define arguments and child blocks"
    )
    if isinstance(value, JsonObject):
        return value.members
    if isinstance(value, JsonArray):
        members: list[JsonMember] = []
        for each in value.items:
            if isinstance(each, JsonObject):
                members.extend(each.members)
            else:
                detail = f"A JSON object is required here, to {purpose}."
                problems.append(Diagnostic(_JSON_TYPE, detail, each.start_range))
        return members
    if not _is_null(value):
        detail = f"Either a JSON object or JSON array of objects is required here, to {purpose}."
        problems.append(Diagnostic(_JSON_TYPE, detail, value.start_range))
    return []


def _unpack(
    member: JsonMember, labels: Sequence[str], blocks: list[AnyBlock], problems: list[Diagnostic]
) -> None:
    """The blocks that a member stands for: its members' names are the labels."""
    rows: list[tuple[list[str], list[SourceRange], Expression]] = [([], [], member.value)]
    for label in labels:
        deeper: list[tuple[list[str], list[SourceRange], Expression]] = []
        for names, ranges, value in rows:
            members = _members(value, label, problems)
            if not members:
                detail = "At least one object property is required, whose name represents the "
                detail += f"{member.name} block's {label}."
                problems.append(Diagnostic("Missing block label", detail, value.start_range))
            for each in members:
                deeper.append(([*names, each.name], [*ranges, each.name_range], each.value))
        rows = deeper
    for names, ranges, value in rows:
        if isinstance(value, JsonObject | JsonArray):
            bodies = [value] if isinstance(value, JsonObject) else value.items
            for body in bodies:
                block = AnyBlock(member.name, names, JsonBody(body), value.open_range, ranges)
                blocks.append(block)
        elif not _is_null(value):
            detail = (
                "Either a JSON object or a JSON array is required, representing the contents of "
            )
            detail += f"one or more {quote(member.name)} blocks."
            problems.append(Diagnostic(_JSON_TYPE, detail, value.start_range))
