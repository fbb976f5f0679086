"""Files of environment variables (`.env` and those of `env_file`)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

from croze.bake.compose.interpolate import Interpolation, Warn
from croze.gotypes.quote import quote

_SPACE: Final = "\t\v\f\r \x85\xa0"
_REST: Final = re.compile(r"[^\n]*")
_ESCAPE: Final = re.compile(r"\\([abcfnrtv$\"\\]|0[0-7]{0,3})")
_PLAIN: Final = {
    "a": "\a",
    "b": "\b",
    "c": "\\c",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
    "$": "$$",
    '"': '"',
    "\\": "\\",
}


class DotenvError(Exception):
    """A line makes no sense."""


def parse_dotenv(text: str, lookup: Callable[[str], str | None], warn: Warn) -> dict[str, str]:
    """The variables of a file. Values may use variables from outside, and those before them."""
    variables: dict[str, str] = {}

    def known(name: str) -> str | None:
        outside = lookup(name)
        return variables.get(name) if outside is None else outside

    expand = Interpolation(known, warn).text
    for name, value, expandable in _Lines(text.removeprefix("\ufeff")).assignments():
        if value is None:
            inherited = lookup(name)
            if inherited is not None:
                variables[name] = inherited
        else:
            variables[name] = expand(value) if expandable else value
    return variables


class _Lines:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    @property
    def line(self) -> int:
        return self.text.count("\n", 0, self.at) + 1

    def assignments(self) -> Iterator[tuple[str, str | None, bool]]:
        """Names with their values (none for a name alone), and whether variables count in them."""
        text = self.text
        while True:
            while self.at < len(text) and (text[self.at].isspace() or text[self.at] == "#"):
                if text[self.at] == "#":
                    self.rest_of_line()
                else:
                    self.at += 1
            if self.at >= len(text):
                return
            name, alone = self.name()
            if alone:
                yield name, None, False
            else:
                yield (name, *self.value())

    def name(self) -> tuple[str, bool]:
        text = self.text
        export = re.compile(r"export\s+").match(text, self.at)
        if export is not None:
            self.at = export.end()
        start = self.at
        while self.at < len(text):
            char = text[self.at]
            if char in "=:\n":
                name = text[start : self.at].rstrip()
                if " " in name:
                    raise DotenvError(f"line {self.line}: key cannot contain a space")
                self.at += 1
                return name, char == "\n"
            if not (char in _SPACE or char in "_.-[]" or char.isalnum()):
                rest = text[start:].partition("\n")[0]
                detail = f"unexpected character {quote(char)} in variable name {quote(rest)}"
                raise DotenvError(f"line {self.line}: {detail}")
            self.at += 1
        # As in the original, a name that ends the file without a line end counts for nothing.
        return text[start:].strip(), True

    def value(self) -> tuple[str, bool]:
        text = self.text
        while self.at < len(text) and text[self.at] in _SPACE:
            self.at += 1
        mark = text[self.at : self.at + 1]
        if mark and mark in "'\"":
            return self.quoted(mark)
        return self.rest_of_line().partition(" #")[0].rstrip(), True

    def rest_of_line(self) -> str:
        """Read up to the line's end."""
        rest = _REST.match(self.text, self.at)
        assert rest is not None, "it may be empty"
        self.at = rest.end()
        return rest[0]

    def quoted(self, mark: str) -> tuple[str, bool]:
        start = self.at
        self.at += 1
        out: list[str] = []
        while self.at < len(self.text):
            char = self.text[self.at]
            if char == mark:
                self.at += 1
                value = "".join(out)
                return (_unescaped(value), True) if mark == '"' else (value, False)
            if char == "\\" and self.text[self.at + 1 : self.at + 2] == mark:
                self.at += 1
                char = mark
            elif char == "\\" and self.at + 1 < len(self.text):
                out.append(char)
                self.at += 1
                char = self.text[self.at]
            out.append(char)
            self.at += 1
        self.at = start
        line = self.line
        raise DotenvError(f"line {line}: unterminated quoted value {self.rest_of_line()}")


def _unescaped(value: str) -> str:
    def replace(match: re.Match[str]) -> str:
        which = match[1]
        if which.startswith("0"):
            return chr(int(which[1:], 8)) if len(which) == 4 else match[0]
        return _PLAIN[which]

    return _ESCAPE.sub(replace, value)
