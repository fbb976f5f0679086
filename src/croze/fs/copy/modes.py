"""Symbolic and octal modes as BSD's setmode(3) reads them (the dialect of `COPY --chmod`)."""

from __future__ import annotations

import stat
from collections.abc import Callable

from croze.errors import InvalidRequest

ModeChange = Callable[[int], int]
"""From `st_mode` to `st_mode`; only the lower twelve bits change."""

_TXT = 0o1000
_OTHER = 0o007
_STANDARD = 0o6777
_ALL_X = 0o111
_WHO = {"a": _STANDARD, "u": 0o4700, "g": 0o2070, "o": _OTHER}
_SHIFTS = {"u": 6, "g": 3, "o": 0}
_PERMS = {"r": 0o444, "w": 0o222}


def parse_mode(text: str) -> ModeChange:
    """The change that `text` describes. Raises InvalidRequest."""
    if text[:1].isdigit():
        return _parse_octal(text)
    steps: list[_Step] = []
    for clause in text.split(","):
        _Clause(clause, steps).parse()

    def change(mode: int) -> int:
        result = mode
        for step in steps:
            result = step(mode, result)
        return stat.S_IFMT(mode) | (result & 0o7777)

    return change


def _parse_octal(text: str) -> ModeChange:
    try:
        value = int(text, 8)
    except ValueError:
        raise InvalidRequest("invalid syntax") from None
    if "_" in text or value > 0o7777:
        raise InvalidRequest("invalid syntax")
    return lambda mode: stat.S_IFMT(mode) | value


_Step = Callable[[int, int], int]
"""(original mode, mode so far) to mode so far."""


class _Clause:
    """One comma-free clause: who, then operators with their permissions."""

    def __init__(self, text: str, steps: list[_Step]) -> None:
        self._text = text
        self._at = 0
        self._who = 0
        self._steps = steps

    def parse(self) -> None:
        while self._peek() in _WHO:
            self._who |= _WHO[self._next()]
        while True:
            op = self._next()
            if op not in ("+", "-", "="):
                raise InvalidRequest("invalid syntax")
            self._who &= ~_TXT
            self._parse_perms(op)
            if not self._peek():
                return

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _next(self) -> str:
        char = self._peek()
        self._at += 1
        return char

    def _parse_perms(self, op: str) -> None:
        perm = conditional = 0
        assigned = False
        while True:
            char = self._peek()
            if char in _PERMS:
                perm |= _PERMS[char]
            elif char == "x" or (char == "X" and op == "-"):
                perm |= _ALL_X
            elif char == "X":
                conditional |= _ALL_X
            elif char == "s":
                perm |= 0o6000 if self._beyond_other() else 0
            elif char == "t":
                if self._beyond_other():
                    self._who |= _TXT
                    perm |= _TXT
            elif char and char in _SHIFTS:
                if perm:
                    self._add(op, perm)
                perm, assigned = 0, assigned or op == "="
                self._add_conditional(conditional)
                conditional = 0
                self._steps.append(_copy_bits(char, op, self._who))
            else:
                break
            self._at += 1
        if perm or (op == "=" and not assigned):
            self._add(op, perm)
        self._add_conditional(conditional)

    def _beyond_other(self) -> bool:
        return not self._who or bool(self._who & ~_OTHER)

    def _add(self, op: str, perm: int) -> None:
        bits = perm & self._who if self._who else perm
        if op == "=":
            cleared = self._who or _STANDARD
            self._steps.append(lambda _, mode: (mode & ~cleared) | bits)
        elif op == "+":
            self._steps.append(lambda _, mode: mode | bits)
        else:
            self._steps.append(lambda _, mode: mode & ~bits)

    def _add_conditional(self, perm: int) -> None:
        bits = perm & self._who if self._who else perm
        if bits:
            self._steps.append(
                lambda old, mode: mode | bits if old & _ALL_X or stat.S_ISDIR(old) else mode
            )


def _copy_bits(source: str, op: str, who: int) -> _Step:
    """Copy one class's rwx bits to the classes in `who` (all if empty)."""
    shifts = [s for c, s in _SHIFTS.items() if not who or who & (0o4 << s)]

    def step(_: int, mode: int) -> int:
        value = mode >> _SHIFTS[source] & 0o7
        for shift in shifts:
            if op != "+":
                mode &= ~((0o7 if op == "=" else value) << shift)
            if op != "-":
                mode |= value << shift
        return mode

    return step
