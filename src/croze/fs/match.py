"""Ignore and include patterns with the rules of moby's patternmatcher.

A list of patterns is read in order: a plain pattern matches a path and all below it, a pattern
with `!` in front takes back. `**` crosses slashes. The dialect has corners that are kept on
purpose, as they decide what is in a build: `\\d` is a digit, `|` an alternative, `^` an anchor.

Neighbouring patterns of one kind act together, so they are fused into one `_Segment`: a set, two
tuples and one regular expression, however many patterns there are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from croze.errors import InvalidRequest
from croze.fs.glob import BadPattern, fits_so_far
from croze.fs.paths import GO_SPACE, clean

MatchState = tuple[bool, ...]
"""What a directory's look-up hands down to its children: which segments matched."""


class Pattern:
    """One cleaned pattern."""

    __slots__ = ("exclusion", "text")

    def __init__(self, text: str, exclusion: bool) -> None:
        self.text = text
        self.exclusion = exclusion

    def __str__(self) -> str:
        return self.text


class PatternMatcher:
    """Decides whether paths match a list of patterns. Raises `InvalidRequest` for bad ones."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self.patterns: list[Pattern] = [p for p in map(_parse, patterns) if p]
        self.has_exclusions = any(p.exclusion for p in self.patterns)
        self._segments = _fuse(self.patterns)
        self._single = self._segments[0] if len(self._segments) == 1 else None

    def matches_or_parent(self, path: str) -> bool:
        """Whether `path` or a directory above it matches."""
        return self.walk_match(path, None)[0]

    def walk_match(self, path: str, parent: MatchState | None) -> tuple[bool, MatchState]:
        """The same question in a walk: `parent` is what the directory above got, or None."""
        if parent is not None and self._single is not None and not self._single.exclusion:
            hit = parent[0] or self._single.match(path)
            return hit, ((True,) if hit else (False,))
        return self._walk_match(path, parent)

    def _walk_match(self, path: str, parent: MatchState | None) -> tuple[bool, MatchState]:
        candidates = [path] if parent else [path, *_parents(path)]
        inherited = parent or (False,) * len(self._segments)
        matched = False
        state = []
        for segment, above in zip(self._segments, inherited, strict=True):
            hit = above or (segment.exclusion == matched and segment.match_any(candidates))
            if hit:
                matched = not segment.exclusion
            state.append(hit)
        return matched, tuple(state)


class _Segment:
    """Neighbouring patterns of one kind, as one test."""

    __slots__ = ("_broken", "_exact", "_prefixes", "_regexes", "_search", "_suffixes", "exclusion")

    def __init__(self, exclusion: bool) -> None:
        self.exclusion = exclusion
        self._exact: set[str] = set()
        self._prefixes: tuple[str, ...] = ()
        self._suffixes: tuple[str, ...] = ()
        self._regexes: list[str] = []
        self._search: re.Pattern[str] | None = None
        self._broken = False

    def add(self, pattern: str) -> None:
        kind, regex = _translate(pattern)
        if kind == "exact":
            self._exact.add(pattern)
        elif kind == "prefix":
            self._prefixes += (pattern[:-2],)
        elif kind == "suffix":
            self._suffixes += (pattern[2:],)
            if pattern[2:3] == "/":
                self._exact.add(pattern[3:])
        else:
            self._add_regex(regex)

    def _add_regex(self, regex: str) -> None:
        try:
            re.compile(regex, re.ASCII)
        except (re.error, RecursionError, OverflowError):
            self._broken = True
            return
        self._regexes.append(f"(?:{regex})")
        self._search = None

    @property
    def broken(self) -> bool:
        return self._broken

    def match(self, path: str) -> bool:
        if path in self._exact:
            return True
        if self._prefixes and path.startswith(self._prefixes):
            return True
        if self._suffixes and path.endswith(self._suffixes):
            return True
        if self._regexes:
            if self._search is None:
                self._search = re.compile("|".join(self._regexes), re.ASCII)
            return self._search.search(path) is not None
        if self._broken:
            raise BadPattern
        return False

    def match_any(self, paths: Sequence[str]) -> bool:
        return any(self.match(path) for path in paths)


def _parse(text: str) -> Pattern | None:
    text = text.strip(GO_SPACE)
    if not text:
        return None
    text = clean(text)
    exclusion = text.startswith("!")
    if exclusion:
        if text == "!":
            raise InvalidRequest('illegal exclusion pattern: "!"')
        text = text[1:]
    fits_so_far(text, ".")  # raises where BuildKit does
    return Pattern(text, exclusion)


def _fuse(patterns: Sequence[Pattern]) -> list[_Segment]:
    segments: list[_Segment] = []
    for pattern in patterns:
        single = _Segment(pattern.exclusion)
        single.add(pattern.text)
        last = segments[-1] if segments else None
        # A pattern that fails only when it is tried stays alone, to fail only then.
        if single.broken or last is None or last.broken or last.exclusion != pattern.exclusion:
            segments.append(single)
        else:
            last.add(pattern.text)
    return segments


def _parents(path: str) -> list[str]:
    """The directories above, outermost first."""
    head = clean(path[: path.rfind("/") + 1])
    if head == ".":
        return []
    parts = head.split("/")
    return ["/".join(parts[: i + 1]) for i in range(len(parts))]


_ESCAPE = frozenset(".+()$")
_CLASS_ESCAPE = frozenset("[&~|")
_GO_ESCAPES = {
    "d": r"\d", "D": r"\D", "w": r"\w", "W": r"\W", "b": r"\b", "B": r"\B", "A": r"\A",
    "z": r"\Z", "a": r"\a", "f": r"\f", "t": r"\t", "n": r"\n", "r": r"\r", "v": r"\v",
    "s": "[\\t\\n\\f\\r ]", "S": "[^\\t\\n\\f\\r ]",
}  # fmt: skip


_NOT_IN_CLASS = "bBAz"
_INVALID = "(?P<"
"""Not an expression, so that matching fails."""
_FINAL_BACKSLASH = r"\$"
"""It takes the mark of the end, which comes next, for a dollar sign."""
_STAR = "[^/]*"
_STARS = "(?:.*/)?"
_REST = ".*"


def _translate(pattern: str) -> tuple[str, str]:
    """What kind of test a pattern needs (exact, prefix, suffix, regex) and the expression."""
    out: list[str] = []
    kind = "exact"
    in_class = odd = False
    i = 0
    while i < len(pattern):
        char = pattern[i]
        first = i == 0
        i += 1
        if char == "*":
            odd = odd or in_class
            if pattern[i : i + 1] != "*":
                out.append("\\" + _STAR if in_class else _STAR)
                in_class = False  # its own bracket closes the class
                kind = "regex"
                continue
            i += 1
            i += pattern[i : i + 1] == "/"
            text, kind = _double_star(kind, last=i >= len(pattern))
            out.append(text)
            if first:
                kind = "suffix"
        elif char == "?":
            odd = odd or in_class
            out.append("\\[^/]" if in_class else "[^/]")
            in_class = False
            kind = "regex"
        elif char == "\\" and i < len(pattern):
            out.append(_go_escape(pattern[i], in_class))
            i += 1
            kind = "regex"
            if out[-1] == _INVALID:
                return kind, _INVALID
        elif char == "]" and in_class and out[-1] in ("[", "[^"):
            out.append("\\]")  # right behind the bracket it is an ordinary character
            kind = "regex"
        elif char in "[]":
            out.append("\\[" if in_class and char == "[" else char)
            in_class = char == "[" or (in_class and char != "]")
            kind = "regex"
        elif in_class and (out[-1], char) == ("[", "^"):
            out[-1] = "[^"
        elif in_class and out[-1] == char == "-":
            out.append("\\-")  # alike, but no set operator of Python's
        elif char == "\\":
            out.append(_FINAL_BACKSLASH)
        else:
            odd = odd or char in "|{"
            escaped = char in _ESCAPE or (in_class and char in _CLASS_ESCAPE)
            out.append("\\" + char if escaped else char)
    if not odd:
        out = _without_retries(out)
    end = "" if out[-1:] == [_FINAL_BACKSLASH] else r"\Z"
    return kind, "^" + "".join(out) + end


def _without_retries(parts: Sequence[str]) -> list[str]:
    """The same language, matched without trying every way to share out a path among the stars.

    Between two stars the first place that fits is as good as any later one, so it is final
    (`(?>`). So it is between two `**` where the text between ends a folder's name: later places
    are all still in reach.
    """
    out: list[str] = []
    for mark, chunk in _chunks(parts, (_STARS, _REST)):
        chunk, more = _single_stars(chunk), mark != "" and chunk[-1:] == ["/"]
        if out and out[-1] == _STARS:
            if mark == _STARS and not chunk:
                continue
            if more:
                out[-1:] = [f"(?>(?:.*?/)??{''.join(chunk)})", mark]
                continue
        out += [*chunk, mark]
    return out


def _single_stars(parts: Sequence[str]) -> list[str]:
    out: list[str] = []
    for mark, chunk in _chunks(parts, (_STAR,)):
        if mark and out:
            out[-1:] = [f"(?>[^/]*?{''.join(chunk)})", mark]
        else:
            out += [*chunk, mark]
    return out[:-1]


def _chunks(parts: Sequence[str], marks: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """What comes before each mark, and at last, with no mark, the rest."""
    chunk: list[str] = []
    for part in parts:
        if part in marks:
            yield part, chunk
            chunk = []
        else:
            chunk.append(part)
    yield "", chunk


def _double_star(kind: str, *, last: bool) -> tuple[str, str]:
    if not last:
        return _STARS, "regex"
    return ("", "prefix") if kind == "exact" else (_REST, "regex")


def _go_escape(char: str, in_class: bool) -> str:
    """A backslash and `char` as Go's regular expressions read it."""
    if char in (_NOT_IN_CLASS if in_class else ""):
        return _INVALID
    if char in _GO_ESCAPES:
        return _GO_ESCAPES[char].strip("[]" if in_class and char == "s" else "")
    if char.isascii() and not char.isalnum():
        return re.escape(char)
    return _INVALID
