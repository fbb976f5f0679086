"""YAML text to plain data, with line numbers in messages.

PyYAML reads the text; which scalars are numbers and truth values follows YAML 1.2 as Docker's tools
read it: `yes` and `on` are texts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, TypeAlias

import yaml
from msgspec import Struct, field

from croze.bake.compose.moments import moment_text

Data: TypeAlias = "str | int | float | bool | list[Data] | dict[str, Data] | None"
Mapping: TypeAlias = dict[str, Data]
Path: TypeAlias = tuple[str, ...]

_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_QUOTED: Final = ("'", '"', "|", ">")
_MOST_NODES: Final = 100_000
_DEEPEST: Final = 100
_INT: Final = re.compile(r"[-+]?(?:0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|[1-9][0-9_]*|0)")
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_CONSTANTS: Final[Mapping] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
}
_WORDS: Final = {
    "mapping values are not allowed here": "mapping values are not allowed in this context",
    "expected <block end>, but found '<block mapping start>'": "did not find expected key",
    "expected <block end>, but found '-'": "did not find expected '-' indicator",
    "could not find expected ':'": "could not find expected ':'",
    "found undefined alias": "unknown anchor referenced",
}


class YamlError(Exception):
    """The text is not YAML that a compose file can be."""


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
        raise YamlError(f"yaml: offset {error.start}: {problem}") from None


def load_documents(text: str) -> Iterator[ComposeDocument]:
    try:
        for node in yaml.compose_all(text, Loader=_LOADER):
            document = ComposeDocument(None)
            builder = _Builder(document.removed)
            document.data = builder.build(node, (), 0)
            yield document
    except yaml.MarkedYAMLError as error:
        raise YamlError(_message(error)) from None
    except yaml.YAMLError as error:
        raise YamlError(f"yaml: {error}") from None
    except RecursionError:
        raise YamlError("yaml: exceeded max depth") from None


def _message(error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark
    problem = _WORDS.get(error.problem or "", error.problem or "")
    if mark is None:
        return f"yaml: {problem}"
    if not error.context:
        return f"yaml: line {mark.line + 1}: {problem}"
    begun = error.context_mark or mark
    where = f"{_place(begun)}: "
    if (begun.line, begun.column) != (mark.line, mark.column):
        where += f"{_place(mark)}: "
    return f"yaml: {error.context} at {where}{problem}"


def _place(mark: yaml.Mark) -> str:
    line = f"line {mark.line + 1}"
    return f"{line}, column {mark.column + 1}" if mark.column else line


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
        lines: dict[str, int] = {}
        for key_node, value_node in node.value:
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else ""
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode) or not isinstance(_key(key_node), str):
                where = f"in {'.'.join(path)}" if path else "at top level"
                raise YamlError(f"non-string key {where}: {key or 'a mapping'}")
            if key in lines:
                first = lines[key]
                twice = f'mapping key "{key}" already defined at line {first}'
                raise YamlError(f"yaml: construct errors:\n  line 1: line {line}: {twice}")
            lines[key] = line
            if key_node.tag == "tag:yaml.org,2002:merge":
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
                raise YamlError("yaml: map merge requires map or sequence of maps as the value")
            merged = {**built, **merged}
        return merged


def _key(node: yaml.ScalarNode) -> Data:
    return node.value if node.tag == "tag:yaml.org,2002:merge" else _scalar(node)


def _scalar(node: yaml.ScalarNode) -> Data:
    text: str = node.value
    if node.style in _QUOTED:
        return text
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INT.fullmatch(text) and len(text) < 64:
        return _integer(text.replace("_", ""))
    if _FLOAT.fullmatch(text):
        return float(text)
    return moment_text(text) or text


def _integer(text: str) -> int:
    digits = text.lstrip("+-")
    if len(digits) > 1 and digits[0] == "0" and digits[1].isdecimal():
        return int(text, 8)
    return int(text, 0)
