"""Semantic versions and constraints on them, as Masterminds/semver reads them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct

from croze.bake.functions.support import function, text
from croze.bake.hcl.function import CallError, Function
from croze.bake.values.types import BOOL
from croze.bake.values.value import Value, boolean

_IDENTIFIERS: Final = r"[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*"
_VERSION: Final = re.compile(
    rf"v?([0-9]+)(?:\.([0-9]+))?(?:\.([0-9]+))?(?:-(?P<pre>{_IDENTIFIERS}))?(?:\+{_IDENTIFIERS})?"
)
_OPERATORS: Final = r"=|!=|>=|=>|<=|=<|>|<|~>|~|\^|"
_LOOSE: Final = (
    r"v?(?:[0-9|xX*]+)(?:\.[0-9|xX*]+)?(?:\.[0-9|xX*]+)?"
    rf"(?:-{_IDENTIFIERS})?(?:\+{_IDENTIFIERS})?"
)
_RANGE: Final = re.compile(rf"\s*({_LOOSE})\s+-\s+({_LOOSE})\s*")
_ONE: Final = re.compile(rf"({_OPERATORS})\s*({_LOOSE})")
_SEPARATOR: Final = re.compile(r"\s*,?\s*")
_PARTS: Final = re.compile(
    r"v?(?P<major>[0-9|xX*]+)(?:\.(?P<minor>[0-9|xX*]+))?(?:\.(?P<patch>[0-9|xX*]+))?(?P<tail>-[^+]*)?"
)
_LARGEST: Final = 2**64 - 1


class Version(Struct, frozen=True):
    numbers: tuple[int, int, int]
    pre: str

    @property
    def order(self) -> tuple[tuple[int, int, int], tuple[int, tuple[tuple[int, int, str], ...]]]:
        """Sorts versions: a release comes after its prereleases, numbers before words."""
        if not self.pre:
            return self.numbers, (1, ())
        parts = tuple(
            (0, int(each), "") if each.isdecimal() else (1, 0, each) for each in self.pre.split(".")
        )
        return self.numbers, (0, parts)


def parse_version(source: str) -> Version:
    """Read a semantic version, of which minor and patch may be missing. Raises `CallError`."""
    match = _VERSION.fullmatch(source)
    if match is None:
        raise CallError("invalid semantic version")
    numbers = [int(each or 0) for each in match.group(1, 2, 3)]
    for each in numbers:
        if each > _LARGEST:
            detail = f'strconv.ParseUint: parsing "{each}": value out of range'
            raise CallError(f"error parsing version segment: {detail}")
    pre = match["pre"] or ""
    for part in pre.split("."):
        if part.isdecimal() and len(part) > 1 and part.startswith("0"):
            raise CallError("version segment starts with 0")
    return Version((numbers[0], numbers[1], numbers[2]), pre)


class _Constraint(Struct, frozen=True):
    """An operator and a version, and which of its numbers were left open."""

    operator: str
    version: Version
    open_minor: bool
    open_patch: bool
    open_any: bool

    def allows(self, version: Version) -> bool:
        match self.operator:
            case "" | "=":
                return (
                    self._tilde(version) if self.open_any else version.order == self.version.order
                )
            case "!=":
                return self._differs(version)
            case ">":
                return self._greater(version)
            case "<":
                return version.order < self.version.order
            case ">=" | "=>":
                return version.order >= self.version.order
            case "<=" | "=<":
                return self._at_most(version)
            case "^":
                return self._caret(version)
        return self._tilde(version)

    def _differs(self, version: Version) -> bool:
        if not self.open_any:
            return version.order != self.version.order
        (major, minor, patch), own = version.numbers, self.version.numbers
        if own[0] != major:
            return True
        if self.open_minor:
            return False
        if own[1] != minor:
            return True
        if own[2] != patch and not self.open_patch:
            return True
        if self.open_patch:
            return (version.pre or self.version.pre) != "" and version.pre != self.version.pre
        return version.order != self.version.order

    def _greater(self, version: Version) -> bool:
        if not self.open_any or version.numbers[0] != self.version.numbers[0]:
            return version.order > self.version.order
        if self.open_minor:
            return False
        if self.open_patch:
            return version.numbers[1] > self.version.numbers[1]
        return version.order > self.version.order

    def _at_most(self, version: Version) -> bool:
        if not self.open_any:
            return version.order <= self.version.order
        (major, minor, _), own = version.numbers, self.version.numbers
        return major < own[0] or (major == own[0] and (self.open_minor or minor <= own[1]))

    def _tilde(self, version: Version) -> bool:
        if version.order < self.version.order:
            return False
        own = self.version.numbers
        if own == (0, 0, 0) and not self.open_minor and not self.open_patch:
            return True
        same_minor = self.open_minor or version.numbers[1] == own[1]
        return version.numbers[0] == own[0] and same_minor

    def _caret(self, version: Version) -> bool:
        if version.order < self.version.order:
            return False
        (major, minor, patch), own = version.numbers, self.version.numbers
        if own[0] > 0 or self.open_minor:
            return major == own[0]
        if major > 0:
            return False
        if own[1] > 0 or self.open_patch:
            return minor == own[1]
        return minor == 0 and patch == own[2]


def _is_open(part: str | None) -> bool:
    return not part or part in ("x", "X", "*")


def _parse_constraint(operator: str, source: str) -> _Constraint:
    parts = _PARTS.match(source)
    assert parts is not None
    major, minor, patch, tail = parts.group("major", "minor", "patch", "tail")
    tail = tail or ""
    if _is_open(major):
        numbers, opened = "0.0.0", (False, False, True)
    elif _is_open(minor):
        numbers, opened = f"{major}.0.0", (True, False, True)
    elif _is_open(patch):
        numbers, opened = f"{major}.{minor}.0", (False, True, True)
    else:
        numbers, opened = f"{major}.{minor}.{patch}", (False, False, False)
    try:
        version = parse_version(numbers + tail)
    except CallError:
        raise CallError("constraint parser error") from None
    return _Constraint(operator, version, *opened)


def _parse_all(source: str) -> list[_Constraint]:
    """Constraints that must all hold, separated by spaces or commas."""
    constraints: list[_Constraint] = []
    at = len(source) - len(source.lstrip())
    while at < len(source):
        match = _ONE.match(source, at)
        if match is None:
            raise CallError(f"improper constraint: {source}")
        constraints.append(_parse_constraint(*match.group(1, 2)))
        separator = _SEPARATOR.match(source, match.end())
        assert separator is not None
        at = separator.end()
        ends_badly = "," in separator.group() and at >= len(source)
        if ends_badly or (at < len(source) and not separator.group()):
            raise CallError(f"improper constraint: {source}")
    if not constraints:
        raise CallError(f"improper constraint: {source}")
    return constraints


def satisfies(version: Version, constraint: str) -> bool:
    """Whether the version is within one of the alternatives that `||` separates."""
    rewritten = _RANGE.sub(r">= \1, <= \2 ", constraint)
    alternatives = [_parse_all(each) for each in rewritten.split("||")]
    return any(
        (not version.pre or any(each.version.pre for each in alternative))
        and all(each.allows(version) for each in alternative)
        for alternative in alternatives
    )


def _semvercmp(args: Sequence[Value]) -> Value:
    return boolean(satisfies(parse_version(args[0].text), args[1].text))


FUNCTIONS: Final[Mapping[str, Function]] = {
    "semvercmp": function(_semvercmp, text("version"), text("contraint"), returns=BOOL),
}
