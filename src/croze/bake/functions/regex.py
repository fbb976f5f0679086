"""Regular expressions, in RE2's syntax and with its guarantee that time grows linearly."""

from __future__ import annotations

import re as standard_re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Final, Protocol

from croze.bake.functions.support import function, of_texts, text
from croze.bake.hcl.function import ArgumentError, CallError, Function
from croze.bake.values.types import DYNAMIC, STRING, Type, object_of, tuple_of
from croze.bake.values.value import Value, list_value, null_of, object_value, string, tuple_value

# RE2's words for what is wrong, and those of Go's package, which has the same errors.
_CODES: Final = {
    "invalid escape sequence": "invalid escape sequence",
    "invalid character class": "invalid character class",
    "invalid character class range": "invalid character class range",
    "missing ]": "missing closing ]",
    "missing )": "missing closing )",
    "unexpected )": "unexpected )",
    "trailing \\": "trailing backslash at end of expression",
    "no argument for repetition operator": "missing argument to repetition operator",
    "invalid repetition size": "invalid repeat count",
    "bad repetition operator": "invalid nested repetition operator",
    "invalid perl operator": "invalid or unsupported Perl syntax",
    "invalid UTF-8": "invalid UTF-8",
    "invalid named capture group": "invalid named capture",
}
_REFERENCE: Final = standard_re.compile(r"\$(?:\$|(?P<name>[0-9A-Za-z_]+)|\{(?P<braced>[^}]*)\})")


class _Match(Protocol):
    def group(self, index: int | str = 0) -> str | None: ...
    def groups(self) -> tuple[str | None, ...]: ...
    def start(self) -> int: ...
    def end(self) -> int: ...


class _Pattern(Protocol):
    groups: int
    groupindex: Mapping[str, int]

    def search(self, text: str) -> _Match | None: ...
    def finditer(self, text: str) -> Iterator[_Match]: ...


class _PatternError(Exception):
    def __init__(self, code: str, part: str) -> None:
        super().__init__(code)
        self.code = code
        self.part = part


@lru_cache(maxsize=256)
def _compile(pattern: str) -> _Pattern:
    import re2

    options = re2.Options()
    options.log_errors = False
    try:
        compiled: _Pattern = re2.compile(pattern, options)
    except re2.error as error:
        raw = error.args[0]
        message = raw.decode(errors="replace") if isinstance(raw, bytes) else str(raw)
        code, _, part = message.partition(": ")
        raise _PatternError(_CODES.get(code, code), part) from None
    return compiled


def _compiled(pattern: str) -> _Pattern:
    try:
        return _compile(pattern)
    except _PatternError as error:
        detail = f"invalid regexp pattern: {error.code} in {error.part}"
        raise ArgumentError(0, detail) from None


def _result_type(pattern: _Pattern) -> Type:
    """A text without groups, a tuple for unnamed groups, an object for named ones."""
    if not pattern.groups:
        return STRING
    names = pattern.groupindex
    if names and len(names) < pattern.groups:
        detail = "invalid regexp pattern: cannot mix both named and unnamed capture groups"
        raise ArgumentError(0, detail)
    if names:
        return object_of(dict.fromkeys(names, STRING))
    return tuple_of([STRING] * pattern.groups)


def _result(pattern: _Pattern, match: _Match) -> Value:
    if not pattern.groups:
        return string(match.group() or "")
    groups = [null_of(STRING) if each is None else string(each) for each in match.groups()]
    if pattern.groupindex:
        return object_value({name: groups[at - 1] for name, at in pattern.groupindex.items()})
    return tuple_value(groups)


def _regex(args: Sequence[Value]) -> Value:
    pattern = _compiled(args[0].text)
    _result_type(pattern)
    match = pattern.search(args[1].text)
    if match is None:
        raise CallError("pattern did not match any part of the given string")
    return _result(pattern, match)


def _matches(pattern: _Pattern, text: str) -> Iterator[_Match]:
    """All matches but empty ones that abut a match before them, which Go does not count."""
    last_end = -1
    for match in pattern.finditer(text):
        if match.start() == match.end() == last_end:
            continue
        last_end = match.end()
        yield match


def _regex_all(args: Sequence[Value]) -> Value:
    pattern = _compiled(args[0].text)
    element = _result_type(pattern)
    return list_value([_result(pattern, each) for each in _matches(pattern, args[1].text)], element)


def _regex_replace(text: str, pattern_text: str, replacement: str) -> str:
    try:
        pattern = _compile(pattern_text)
    except _PatternError as error:
        detail = f"error parsing regexp: {error.code}: `{error.part}`"
        raise CallError(detail) from None
    out: list[str] = []
    at = 0
    for match in _matches(pattern, text):
        out += text[at : match.start()], _expand(replacement, pattern, match)
        at = match.end()
    return "".join(out) + text[at:]


def _expand(replacement: str, pattern: _Pattern, match: _Match) -> str:
    """Go's template: `$1`, `${name}`, `$name` with the longest name there is, `$$`."""

    def group(reference: standard_re.Match[str]) -> str:
        name = reference["name"] or reference["braced"]
        if name is None:
            return "$"
        if name.isdecimal():
            return (match.group(int(name)) or "") if int(name) <= pattern.groups else ""
        at = pattern.groupindex.get(name)
        return "" if at is None else match.group(at) or ""

    return _REFERENCE.sub(group, replacement) if "$" in replacement else replacement


FUNCTIONS: Final[Mapping[str, Function]] = {
    "regex": function(_regex, text("pattern"), text("string"), returns=DYNAMIC),
    "regex_replace": of_texts(_regex_replace, "str", "pattern", "replace"),
    "regexall": function(_regex_all, text("pattern"), text("string"), returns=DYNAMIC),
}
