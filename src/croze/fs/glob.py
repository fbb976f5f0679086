"""Go's `path.Match` patterns: `*`, `?` (never a slash), `[a-z]`, `[^a]`, and backslash escapes."""

from __future__ import annotations

import re
from functools import lru_cache

from croze.errors import InvalidRequest
from croze.fs.paths import join


class BadPattern(InvalidRequest):
    """The pattern is malformed."""

    def __init__(self, message: str = "syntax error in pattern") -> None:
        super().__init__(message)


def match(pattern: str, name: str) -> bool:
    """Whether the whole of `name` matches. Raises BadPattern."""
    return compile_glob(pattern).fullmatch(name) is not None


@lru_cache(maxsize=1024)
def compile_glob(pattern: str) -> re.Pattern[str]:
    """The pattern as a regular expression for `fullmatch`. Raises BadPattern."""
    out: list[str] = []
    i = 0
    while i < len(pattern):
        char = pattern[i]
        i += 1
        if char == "*":
            if not out or out[-1] != "[^/]*":
                out.append("[^/]*")
        elif char == "?":
            out.append("[^/]")
        elif char == "[":
            text, i = _char_class(pattern, i)
            out.append(text)
        elif char == "\\":
            literal, i = _class_char(pattern, i - 1, closing=False)
            out.append(re.escape(literal))
        else:
            out.append(re.escape(char))
    return re.compile("".join(out), re.DOTALL)


def _char_class(pattern: str, i: int) -> tuple[str, int]:
    """The regular expression for the class whose `[` is just before `i`, and where it ends."""
    negated = pattern[i : i + 1] == "^"
    i += negated
    ranges: list[str] = []
    while not (ranges and pattern[i : i + 1] == "]"):
        low, i = _class_char(pattern, i, closing=True)
        high = low
        if pattern[i] == "-":
            high, i = _class_char(pattern, i + 1, closing=True)
        if low <= high:
            ranges.append(f"{re.escape(low)}-{re.escape(high)}")
        else:
            ranges.append("")
    body = "".join(ranges)
    if not body:
        return (r"[\s\S]" if negated else r"(?!)"), i + 1
    return f"[{'^' if negated else ''}{body}]", i + 1


def _class_char(pattern: str, i: int, *, closing: bool) -> tuple[str, int]:
    """One possibly escaped character. In a class something must follow it."""
    if i >= len(pattern) or (closing and pattern[i] in "-]"):
        raise BadPattern
    if pattern[i] == "\\":
        i += 1
        if i >= len(pattern):
            raise BadPattern
    if closing and i + 1 >= len(pattern):
        raise BadPattern
    return pattern[i], i + 1


_ESCAPED = re.compile(r"\\.", re.DOTALL)
_WILDCARD = re.compile(r"[*?\[]")


def has_wildcards(text: str) -> bool:
    """Whether a wildcard character is there that no backslash hides."""
    return _WILDCARD.search(_ESCAPED.sub("", text)) is not None


def split_wildcards(path: str) -> tuple[str, str]:
    """The longest run of leading components without wildcards, and the rest (may be empty)."""
    parts = [part or "/" for part in join(path).split("/")] if path else [""]
    for i, part in enumerate(parts):
        if has_wildcards(part):
            return join(*parts[:i]), join(*parts[i:])
    return join(*parts), ""
