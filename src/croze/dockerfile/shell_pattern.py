"""Patterns of `${name#pattern}`, `${name%pattern}` and `${name/pattern/text}`.

`*` is any text, `?` any character (neither crosses a line end), a backslash escapes `*`, `?` and
itself. They become expressions of Go's, as in BuildKit.
"""

from __future__ import annotations

import re

from croze.dockerfile.location import DockerfileError
from croze.gotypes.regexp import BadExpression, Match, Regexp
from croze.patterns import lazy_pattern

_REFERENCE = lazy_pattern(r"\$(?:(\$)|(\w+)|\{(\w+)\})")


def trim_prefix(pattern: str, value: str, *, longest: bool) -> str:
    """`${value#pattern}`, or `##` for the longest. Raises `DockerfileError`."""
    span = _compile(pattern, greedy=longest, anchored=True).span(value)
    return value[span[1] :] if span else value


def trim_suffix(pattern: str, value: str, *, longest: bool) -> str:
    """`${value%pattern}`, or `%%` for the longest. Raises `DockerfileError`."""
    return trim_prefix(_reverse(pattern), value[::-1], longest=longest)[::-1]


def replace_first(pattern: str, value: str, text: str) -> str:
    """`${value/pattern/text}`. Raises `DockerfileError`."""
    span = _compile(pattern, greedy=True).span(value)
    return value[: span[0]] + text + value[span[1] :] if span else value


def replace_all(pattern: str, value: str, text: str) -> str:
    """`${value//pattern/text}`. In `text`, `$0` is the match, other `$name` are nothing and `$$` is
    a dollar, as in the templates of Go's regular expressions. Raises `DockerfileError`."""
    template = _Template(text)
    return _compile(pattern, greedy=True).replace(value, template.fill)


def _compile(pattern: str, *, greedy: bool, anchored: bool = False) -> Regexp:
    """The expression that a pattern becomes. Raises `DockerfileError` for an escape of what needs
    none."""
    out = ["^" if anchored else ""]
    at = int(pattern.startswith("\ufeff"))  # a byte order mark is not seen
    while at < len(pattern):
        char, at = pattern[at], at + 1
        if char == "\\":
            following = pattern[at : at + 1]
            if following in ("}", "/"):
                continue  # escaped for ${} alone, not part of the pattern
            if following not in ("*", "?", "\\"):
                raise _bad(pattern, f"invalid escape '\\{following or chr(0xFFFD)}'")
            out.append("\\" + following)
            at += 1
        elif char == "*":
            out.append(".*" if greedy else ".*?")
        else:
            out.append("." if char == "?" else re.escape(char))
    try:
        return Regexp("".join(out))
    except BadExpression as error:
        raise _bad(pattern, str(error)) from None


def _bad(pattern: str, problem: str) -> DockerfileError:
    return DockerfileError(f"invalid pattern ({pattern}) in substitution: {problem}")


def _reverse(pattern: str) -> str:
    """Backwards, but an escape stays in front of what it escapes."""
    parts: list[str] = []
    at = 0
    while at < len(pattern):
        width = 2 if pattern[at] == "\\" else 1
        parts.append(pattern[at : at + width])
        at += width
    return "".join(reversed(parts))


class _Template:
    """Go's `Regexp.Expand`, of no groups: texts, and None where the match goes."""

    def __init__(self, text: str) -> None:
        self._pieces: list[str | None] = []
        last = 0
        for reference in _REFERENCE.finditer(text):
            self._pieces.append(text[last : reference.start()])
            name = reference[2] or reference[3]
            if name is None:
                self._pieces.append("$")
            elif name == "0":
                self._pieces.append(None)
            last = reference.end()
        self._pieces.append(text[last:])

    def fill(self, match: Match) -> str:
        return "".join(match[0] if piece is None else piece for piece in self._pieces)
