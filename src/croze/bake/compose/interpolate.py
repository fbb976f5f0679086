"""`$VAR` and `${VAR:-default}` in the texts of compose files.

Source: the compose specification (12-interpolation.md); messages are compose-go's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from msgspec import Struct

from croze.bake.compose.casts import CastError, cast
from croze.bake.compose.data import Data, Path

Lookup = Callable[[str], str | None]
Warn = Callable[[str], None]

_DOLLAR: Final = re.compile(
    r"\$(?:(?P<escaped>\$)|(?P<named>[_a-zA-Z][_a-zA-Z0-9]*)|(?P<braced>\{))"
)
_IN_BRACES: Final = re.compile(
    r"(?P<name>[_a-zA-Z][_a-zA-Z0-9]*)(?:(?P<end>\})|(?P<operator>:?[-+?]))"
)
_DEEPEST: Final = 40


class InterpolationError(Exception):
    """Texts that cannot be interpolated; the message names their places."""


class _InvalidError(Exception):
    pass


class _MissingError(Exception):
    pass


class Interpolation:
    """Replaces variables by what the look-up knows, and tells of those it does not."""

    def __init__(self, lookup: Lookup, warn: Warn) -> None:
        self.lookup = lookup
        self.warn = warn

    def text(self, source: str, depth: int = 0) -> str:
        """The text with values in the place of variables. What is wrong first is raised at the end:
        variables behind it are looked up, and told of, too."""
        if "$" not in source:
            return source
        if depth > _DEEPEST:
            raise _InvalidError(source)
        out: list[str] = []
        wrong: _InvalidError | _MissingError | None = None
        at = part = 0
        part_end = len(source)  # what follows an operator on its line is a text of its own
        lines = _LastBraces(source)
        while (match := _DOLLAR.search(source, at)) is not None:
            if match.start() >= part_end:
                part, part_end = 0, len(source)
            out.append(source[at : match.start()])
            at = match.end()
            if match["escaped"]:
                out.append("$")
                continue
            if match["named"]:
                out.append(self.variable(match["named"]))
                continue
            braced = _braced(source, at, lines)
            if braced is None:
                wrong = wrong or _InvalidError(source[part:part_end])
                continue
            at = braced.end
            try:
                out.append(self.value(braced, depth))
            except (_InvalidError, _MissingError) as error:
                wrong, at = wrong or error, braced.line_end
            else:
                if braced.operator:
                    part, part_end = at, braced.line_end
        if wrong is not None:
            raise wrong
        return "".join(out) + source[at:]

    def variable(self, name: str) -> str:
        value = self.lookup(name)
        if value is None:
            self.warn(f'The "{name}" variable is not set. Defaulting to a blank string.')
        return value or ""

    def value(self, braced: _Braced, depth: int) -> str:
        if not braced.operator:
            return self.variable(braced.name)
        return self.apply(braced.name, braced.operator, braced.operand, depth)

    def apply(self, name: str, operator: str, operand: str, depth: int) -> str:
        value = self.lookup(name)
        present = value is not None and not (operator[0] == ":" and value == "")
        match operator[-1]:
            case "-":
                return (value or "") if present else self.text(operand, depth + 1)
            case "+":
                return self.text(operand, depth + 1) if present else (value or "")
        if not present:
            reason = self.text(operand, depth + 1)
            detail = f"required variable {name} is missing a value"
            raise _MissingError(f"{detail}: {reason}" if reason else detail)
        return value or ""

    def document(self, value: Mapping[str, Data]) -> dict[str, Data]:
        """All texts of a document. Raises `InterpolationError` with each that makes no sense on a
        line of its own, sorted by path."""
        faults: list[str] = []
        replaced = self._mapping(value, (), faults)
        if faults:
            raise InterpolationError("\n".join(faults))
        return replaced

    def _mapping(self, value: Mapping[str, Data], path: Path, faults: list[str]) -> dict[str, Data]:
        by_key: dict[str, list[str]] = {key: [] for key in value}
        replaced = {key: self._data(value[key], (*path, key), by_key[key]) for key in value}
        for key in sorted(by_key, key=lambda key: key.split(".")):  # whole names: a before a-1
            faults += by_key[key]
        return replaced

    def _data(self, value: Data, path: Path, faults: list[str]) -> Data:
        if isinstance(value, str):
            return self._at(value, path, faults)
        if isinstance(value, dict):
            return self._mapping(value, path, faults)
        if isinstance(value, list):
            return [self._data(each, (*path, "[]"), faults) for each in value]
        return value

    def _at(self, source: str, path: Path, faults: list[str]) -> Data:
        where = ".".join(path)
        try:
            return cast(path, self.text(source), self.warn)
        except _InvalidError as error:
            faults.append(
                f"invalid interpolation format for {where}.\n"
                f"You may need to escape any $ with another $.\n{error}"
            )
        except (_MissingError, CastError) as error:
            faults.append(f"error while interpolating {where}: {error}")
        return source


class _Braced(Struct, frozen=True):
    """`${name}`, or with an operator and what it is applied to; `line_end` is behind the last brace
    of the line."""

    name: str
    operator: str
    operand: str
    end: int
    line_end: int


class _LastBraces:
    """Where the last brace of a line is, looked for once a line."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.end = -1
        self.last = -1

    def last_brace(self, at: int) -> int:
        """The last brace that closes, on the line of `at` and behind it; -1 if there is none."""
        if at > self.end:
            end = self.source.find("\n", at)
            self.end = len(self.source) if end < 0 else end
            self.last = self.source.rfind("}", at, self.end)
        return self.last if self.last >= at else -1


def _braced(source: str, start: int, lines: _LastBraces) -> _Braced | None:
    """What is in the braces that open before `start`; None if it is no variable."""
    match = _IN_BRACES.match(source, start)
    if match is None:
        return None
    if match["end"]:
        return _Braced(match["name"], "", "", match.end(), match.end())
    last = lines.last_brace(match.end())
    if last < 0:
        return None
    close = _closing(source, match.end(), last)
    operand = source[match.end() : close]
    return _Braced(match["name"], match["operator"], operand, close + 1, last + 1)


def _closing(source: str, start: int, last: int) -> int:
    """Where the brace that opens before `start` is closed; `last` if it isn't before. What follows
    a brace that opens is not looked at."""
    opened = 1
    at = start
    while at <= last:
        char = source[at]
        if char == "{":
            opened += 1
            at += 1
        elif char == "}":
            opened -= 1
            if not opened:
                return at
        at += 1
    return last
