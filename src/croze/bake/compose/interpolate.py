"""`$VAR` and `${VAR:-default}` in the texts of compose files.

Source: the compose specification (12-interpolation.md); messages are compose-go's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from croze.bake.compose.data import Data, Path

Lookup = Callable[[str], str | None]
Warn = Callable[[str], None]

_DOLLAR: Final = re.compile(
    r"\$(?:(?P<escaped>\$)|(?P<named>[_a-zA-Z][_a-zA-Z0-9]*)|(?P<braced>\{))"
)
_NAME: Final = re.compile(r"[_a-zA-Z][_a-zA-Z0-9]*")
_OPERATOR: Final = re.compile(r":?[-+?]")
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
        if "$" not in source:
            return source
        if depth > _DEEPEST:
            raise _InvalidError(source)
        out: list[str] = []
        at = 0
        while (match := _DOLLAR.search(source, at)) is not None:
            out.append(source[at : match.start()])
            at = match.end()
            if match["escaped"]:
                out.append("$")
            elif match["named"]:
                out.append(self.variable(match["named"]))
            else:
                replaced, at = self.braced(source, at, depth)
                out.append(replaced)
        return "".join(out) + source[at:]

    def variable(self, name: str) -> str:
        value = self.lookup(name)
        if value is None:
            self.warn(f'The "{name}" variable is not set. Defaulting to a blank string.')
        return value or ""

    def braced(self, source: str, start: int, depth: int) -> tuple[str, int]:
        """The text that stands for what is in the braces which open before `start`, and where the
        text goes on behind them."""
        name_match = _NAME.match(source, start)
        if name_match is None:
            raise _InvalidError(source)
        name, at = name_match.group(), name_match.end()
        if source[at : at + 1] == "}":
            return self.variable(name), at + 1
        operator_match = _OPERATOR.match(source, at)
        if operator_match is None:
            raise _InvalidError(source)
        end = _closing(source, operator_match.end())
        operand = source[operator_match.end() : end]
        return self.apply(name, operator_match.group(), operand, depth), end + 1

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

    def _at(self, source: str, path: Path, faults: list[str]) -> str:
        where = ".".join(path)
        try:
            return self.text(source)
        except _InvalidError as error:
            faults.append(
                f"invalid interpolation format for {where}.\n"
                f"You may need to escape any $ with another $.\n{error}"
            )
        except _MissingError as error:
            faults.append(f"error while interpolating {where}: {error}")
        return source


def _closing(source: str, start: int) -> int:
    """Where the brace that opens before `start` is closed, on the same line."""
    opened = 1
    last = -1
    for at in range(start, len(source)):
        char = source[at]
        if char == "\n":
            break
        if char == "{":
            opened += 1
        elif char == "}":
            opened -= 1
            last = at
            if not opened:
                return at
    if last < 0:
        raise _InvalidError(source)
    return last
