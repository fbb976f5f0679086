"""Ignore and include patterns with the rules of moby's patternmatcher.

A list of patterns is read in order: a plain pattern matches a path and all below it, a pattern
with `!` in front takes back. `**` crosses slashes. The dialect has corners that are kept on
purpose, as they decide what is in a build: `\\d` is a digit, `|` an alternative, `^` an anchor.

Neighbouring patterns of one kind act together, so they are fused into one `_Segment`: a set, two
tuples and one regular expression, however many patterns there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from croze.errors import InvalidRequest
from croze.fs.paths import clean
from croze.gotypes.glob import BadPattern, fits_so_far
from croze.gotypes.regexp import BadExpression, Regexp
from croze.gotypes.strings import SPACE

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
        """Like `matches_or_parent`, for a walk: `parent` is what the directory above got, or None
        at the top; the second value is for what is below."""
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

    __slots__ = (
        "_broken",
        "_ends",
        "_exact",
        "_expressions",
        "_prefixes",
        "_regexes",
        "_suffixes",
        "exclusion",
    )

    def __init__(self, exclusion: bool) -> None:
        self.exclusion = exclusion
        self._exact: set[str] = set()
        self._prefixes: list[str] = []
        self._suffixes: list[str] = []
        self._ends: tuple[tuple[str, ...], tuple[str, ...]] | None = None
        self._regexes: list[str] = []
        self._expressions: list[Regexp] | None = None
        self._broken = False

    def add(self, pattern: str) -> None:
        kind, regex = _translate(pattern)
        self._ends = None
        if kind == "exact":
            self._exact.add(pattern)
        elif kind == "prefix":
            self._prefixes.append(pattern[:-2])
        elif kind == "suffix":
            self._suffixes.append(pattern[2:])
            if pattern[2:3] == "/":
                self._exact.add(pattern[3:])
        else:
            self._add_regex(regex)

    def _add_regex(self, regex: str) -> None:
        try:
            Regexp(regex)
        except BadExpression:
            self._broken = True
            return
        self._regexes.append(regex)
        self._expressions = None

    @property
    def broken(self) -> bool:
        return self._broken

    def match(self, path: str) -> bool:
        if path in self._exact:
            return True
        if self._ends is None:
            self._ends = tuple(self._prefixes), tuple(self._suffixes)
        prefixes, suffixes = self._ends
        if path.startswith(prefixes) or path.endswith(suffixes):
            return True
        if self._regexes:
            if self._expressions is None:
                self._expressions = list(_united(self._regexes))
            return any(expression.search(path) for expression in self._expressions)
        if self._broken:
            raise BadPattern
        return False

    def match_any(self, paths: Sequence[str]) -> bool:
        return any(self.match(path) for path in paths)


def _united(regexes: Sequence[str]) -> Iterator[Regexp]:
    """The patterns in one expression, or in a few if that is too large."""
    try:
        yield Regexp("|".join(f"(?:{regex})" for regex in regexes))
    except BadExpression:
        half = len(regexes) // 2
        yield from _united(regexes[:half])
        yield from _united(regexes[half:])


def _parse(text: str) -> Pattern | None:
    text = text.strip(SPACE)
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


def _translate(pattern: str) -> tuple[str, str]:
    """What kind of test a pattern needs (exact, prefix, suffix, regex) and the expression."""
    out = ["^"]
    kind = "exact"
    pattern = pattern.removeprefix("\ufeff")  # a byte order mark is not seen
    i = 0
    while i < len(pattern):
        char, first = pattern[i], i == 0
        i += 1
        if char == "*" and pattern[i : i + 1] == "*":
            i += 1
            i += pattern[i : i + 1] == "/"
            text, kind = _double_star(kind, last=i >= len(pattern))
            out.append(text)
            if first:
                kind = "suffix"
        elif char in "*?":
            out.append("[^/]*" if char == "*" else "[^/]")
            kind = "regex"
        elif char == "\\" and i < len(pattern):
            out.append(char + pattern[i])
            i += 1
            kind = "regex"
        else:
            out.append("\\" + char if char in _ESCAPE else char)
            kind = "regex" if char in "[]" else kind
    return kind, "".join([*out, "$"])


def _double_star(kind: str, *, last: bool) -> tuple[str, str]:
    if not last:
        return "(.*/)?", "regex"
    return ("", "prefix") if kind == "exact" else (".*", "regex")


def matcher_of(patterns: Sequence[str], kind: str) -> PatternMatcher | None:
    """A matcher; None for no patterns. Raises `InvalidRequest`, which says of which `kind` they
    are."""
    if not patterns:
        return None
    try:
        return PatternMatcher(patterns)
    except InvalidRequest as error:
        raise error.wrap(f"invalid {kind}patterns: [{' '.join(patterns)}]") from None
