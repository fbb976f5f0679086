"""YAML text to plain data, with line numbers in messages.

PyYAML reads the text; what its scalars are is `scalars`' matter.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, TypeAlias

import yaml
from msgspec import Struct, field

from croze.bake.compose.moments import Moment
from croze.bake.compose.scalars import IMPLICIT, TEXT, ScalarError, read_scalar
from croze.gotypes.numbers import float_text
from croze.gotypes.quote import quote

Data: TypeAlias = "str | int | float | bool | list[Data] | dict[str, Data] | None"
Mapping: TypeAlias = dict[str, Data]
Path: TypeAlias = tuple[str, ...]

_MOST_NODES: Final = 100_000
_DEEPEST: Final = 100
_STANDARD: Final = "tag:yaml.org,2002:"
_MERGE: Final = f"{_STANDARD}merge"
_WORDS: Final = {
    "mapping values are not allowed here": "mapping values are not allowed in this context",
    "expected <block end>, but found '<block mapping start>'": "did not find expected key",
    "expected <block end>, but found '-'": "did not find expected '-' indicator",
    "could not find expected ':'": "could not find expected ':'",
}
_CONTEXTS: Final = {"while parsing a quoted scalar": "while scanning a quoted scalar"}
_ALIAS: Final = re.compile(r"[^\s,\[\]{}]*")


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Says which scalars have no tag: what those are is decided here."""

    def resolve(self, kind: type[yaml.Node], value: str, implicit: tuple[bool, bool]) -> str:
        if kind is not yaml.ScalarNode:
            return str(super().resolve(kind, value, implicit))
        if not implicit[0]:
            return TEXT
        return _MERGE if value == "<<" else IMPLICIT


class YamlError(Exception):
    """The text is not YAML that a compose file can be."""


class _ConstructError(Exception):
    """A node that makes no value."""


class KeyTypeError(Exception):
    """A key of a mapping that is no text."""


class ComposeDocument(Struct):
    """The data, and the paths whose earlier values it takes away (`!reset`, `!override`)."""

    data: Data
    removed: list[Path] = field(default_factory=list)


_OCTETS: Final = {
    "invalid start byte": "invalid leading UTF-8 octet",
    "invalid continuation byte": "invalid trailing UTF-8 octet",
    "unexpected end of data": "incomplete UTF-8 octet sequence",
}


def decoded(data: bytes) -> str:
    """The text of a file. Raises `YamlError`."""
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        problem = _OCTETS.get(error.reason, error.reason)
        at = error.end if problem.startswith("invalid trailing") else error.start
        raise YamlError(f"yaml: offset {at}: {problem}") from None


def load_documents(text: str) -> Iterator[ComposeDocument]:
    """The documents of a compose file, one by one. Raises `YamlError`."""
    try:
        for node in yaml.compose_all(text, Loader=_Loader):
            document = ComposeDocument(None)
            builder = _Builder(document.removed)
            try:
                document.data = builder.build(node, (), 0)
            except _ConstructError as error:  # the line is that of the document
                where = f"line {node.start_mark.line + 1}"
                raise YamlError(f"yaml: construct errors:\n  {where}: {error}") from None
            yield document
    except yaml.MarkedYAMLError as error:
        raise YamlError(_message(error, text)) from None
    except yaml.reader.ReaderError as error:
        raise YamlError(f"yaml: offset {error.position}: {error.reason}") from None
    except yaml.YAMLError as error:
        raise YamlError(f"yaml: {error}") from None
    except RecursionError:
        raise YamlError("yaml: exceeded max depth") from None


def _message(error: yaml.MarkedYAMLError, text: str) -> str:
    """What is wrong, in the words of Go's parser, which counts lines from 0 and calls the first one
    unknown."""
    mark = error.problem_mark
    problem = _WORDS.get(error.problem or "", error.problem or "")
    if mark is None:
        return f"yaml: {problem}"
    if problem == "found undefined alias":
        return f"yaml: {_undefined(mark, text)}"
    first = 0 if isinstance(error, yaml.parser.ParserError) else 1
    if not error.context:
        return f"yaml: {_place(mark, first)}: {problem}"
    begun = error.context_mark or mark
    where = f"{_place(begun, first)}: "
    if (begun.line, begun.column) != (mark.line, mark.column):
        where += f"{_place(mark, first)}: "
    return f"yaml: {_CONTEXTS.get(error.context, error.context)} at {where}{problem}"


def _place(mark: yaml.Mark, first: int) -> str:
    line = mark.line + first
    if not line:
        return "<unknown position>"
    return f"line {line}, column {mark.column + 1}" if mark.column else f"line {line}"


def _undefined(mark: yaml.Mark, text: str) -> str:
    line = text.split("\n")[mark.line] if text.count("\n") >= mark.line else ""
    name = _ALIAS.match(line, mark.column + 1)
    anchor = name[0] if name else ""
    return f"line {mark.line + 1}, column {mark.column + 2}: unknown anchor '{anchor}' referenced"


class _Builder:
    def __init__(self, removed: list[Path]) -> None:
        self.removed = removed
        self.count = 0
        self.open: set[int] = set()

    def build(self, node: yaml.Node, path: Path, depth: int) -> Data:
        self.count += 1
        if self.count > _MOST_NODES:
            raise YamlError(f"compose file exceeds maximum node visit limit ({_MOST_NODES})")
        if depth > _DEEPEST:
            raise YamlError("yaml: exceeded max depth")
        if node.tag in ("!reset", "!override"):
            self.removed.append(path)
        if isinstance(node, yaml.ScalarNode):
            return _scalar(node)
        if id(node) in self.open:
            raise YamlError("cycle detected: node references itself")
        self.open.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            built: Data = self.sequence(node, path, depth)
        else:
            built = self.mapping(node, path, depth)
        self.open.discard(id(node))
        return built

    def sequence(self, node: yaml.SequenceNode, path: Path, depth: int) -> list[Data]:
        items: list[Data] = []
        for index, each in enumerate(node.value):
            here = (*path, str(index))
            if each.tag == "!reset":
                self.removed.append(here)
            else:
                items.append(self.build(each, here, depth + 1))
        return items

    def mapping(self, node: yaml.Node, path: Path, depth: int) -> Mapping:
        own: Mapping = {}
        merged: Mapping = {}
        _check_keys([key for key, _ in node.value])
        for key_node, value_node in node.value:
            key = _key(key_node, path)
            if key_node.tag == _MERGE:
                merged = self.merge(value_node, path, depth)
            elif value_node.tag == "!reset":
                self.removed.append((*path, key))
            else:
                own[key] = self.build(value_node, (*path, key), depth + 1)
        return {**merged, **own}

    def merge(self, node: yaml.Node, path: Path, depth: int) -> Mapping:
        """What `<<` brings: of several mappings the first counts."""
        sources = node.value if isinstance(node, yaml.SequenceNode) else [node]
        merged: Mapping = {}
        for each in sources:
            built = self.build(each, path, depth + 1)
            if not isinstance(built, dict):
                problem = "map merge requires map or sequence of maps as the value"
                raise _ConstructError(f"yaml: {problem}")
            merged = {**built, **merged}
        return merged


def _check_keys(keys: list[yaml.Node]) -> None:
    """Keys stand once; those that are mappings or lists have no text, and are alike."""
    lines: dict[tuple[str, str], int] = {}
    for number, key in enumerate(keys, 1):
        text = str(key.value) if isinstance(key, yaml.ScalarNode) else ""
        line = key.start_mark.line + 1
        first = lines.setdefault((type(key).__name__, text), line)
        if len(lines) < number:
            raise _ConstructError(
                f'line {line}: mapping key "{text}" already defined at line {first}'
            )


def _key(node: yaml.Node, path: Path) -> str:
    if node.tag == _MERGE:
        return str(node.value)
    if not isinstance(node, yaml.ScalarNode):
        shown = _go_value(_Builder([]).build(node, path, 0))
        hint = "try decoding into yaml.Node"
        raise _ConstructError(f"yaml: cannot use '{shown}' as a map key; {hint}")
    key = _scalar(node)
    if isinstance(key, str) and not isinstance(key, Moment):
        return key
    where = f"in {'.'.join(path)}" if path else "at top level"
    if isinstance(key, Moment):
        shown = key.go_syntax
    elif key is None:
        shown = "<nil>"
    else:
        shown = str(key).lower()
    raise KeyTypeError(f"non-string key {where}: {shown}")


def _scalar(node: yaml.ScalarNode) -> Data:
    tag: str = node.tag
    short = f"!!{tag.removeprefix(_STANDARD)}" if tag.startswith(_STANDARD) else tag
    try:
        return read_scalar(short, node.value)
    except ScalarError as error:
        raise _ConstructError(f"yaml: {error}") from None


def _go_value(value: Data) -> str:
    """A value as Go's source has it (%#v)."""
    match value:
        case None:
            return "interface {}(nil)"
        case Moment():
            return value.go_syntax
        case str():
            return quote(value)
        case bool():
            return str(value).lower()
        case list():
            return f"[]interface {{}}{{{', '.join(map(_go_value, value))}}}"
        case dict():
            members = (f"{quote(key)}:{_go_value(value[key])}" for key in sorted(value))
            return f"map[string]interface {{}}{{{', '.join(members)}}}"
    return float_text(value) if isinstance(value, float) else str(value)
