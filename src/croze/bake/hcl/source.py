"""Positions in source text, and the diagnostics that point at them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Final, NamedTuple, Protocol

from msgspec import Struct


class Pos(NamedTuple):
    """A place in a file: line and column count from one (columns are grapheme clusters), offset
    from zero."""

    line: int = 1
    column: int = 1
    offset: int = 0


START: Final = Pos()


class SourceRange(ABC):
    """A span of a file; `end` is just behind its last character."""

    __slots__ = ()

    @property
    @abstractmethod
    def filename(self) -> str: ...

    @property
    @abstractmethod
    def start(self) -> Pos: ...

    @property
    @abstractmethod
    def end(self) -> Pos: ...

    def __str__(self) -> str:
        start, end = self.start, self.end
        if start.line == end.line:
            return f"{self.filename}:{start.line},{start.column}-{end.column}"
        return f"{self.filename}:{start.line},{start.column}-{end.line},{end.column}"

    def to(self, other: SourceRange) -> SourceRange:
        """The span from the start of this one to the end of the other."""
        return Placed(self.filename, self.start, other.end)

    def at_start(self) -> SourceRange:
        return Placed(self.filename, self.start, self.start)

    def at_end(self) -> SourceRange:
        return Placed(self.filename, self.end, self.end)


class Placed(SourceRange):
    """A span whose lines and columns are known."""

    __slots__ = ("_end", "_filename", "_start")

    def __init__(self, filename: str, start: Pos, end: Pos) -> None:
        self._filename = filename
        self._start = start
        self._end = end

    @property
    def filename(self) -> str:
        return self._filename

    @property
    def start(self) -> Pos:
        return self._start

    @property
    def end(self) -> Pos:
        return self._end


class SourceText(Protocol):
    """A text whose lines and columns are counted when somebody asks for one: who reads a file
    without a mistake in it never does."""

    filename: str

    def place(self, offset: int) -> Pos:
        """The place of an offset at which a token of the text begins or ends."""
        ...


class Stretch(SourceRange):
    """A span of a source from one token to another."""

    __slots__ = ("first", "last", "source")

    def __init__(self, source: SourceText, first: int, last: int) -> None:
        """`first` and `last` are offsets in the source's own text."""
        self.source = source
        self.first = first
        self.last = last

    @property
    def filename(self) -> str:
        return self.source.filename

    @property
    def start(self) -> Pos:
        return self.source.place(self.first)

    @property
    def end(self) -> Pos:
        return self.source.place(self.last)

    def to(self, other: SourceRange) -> SourceRange:
        if isinstance(other, Stretch) and other.source is self.source:
            return Stretch(self.source, self.first, other.last)
        return super().to(other)

    def at_start(self) -> SourceRange:
        return Stretch(self.source, self.first, self.first)

    def at_end(self) -> SourceRange:
        return Stretch(self.source, self.last, self.last)


class Diagnostic(Struct, frozen=True):
    """One problem: a short summary, a sentence or more of detail, and where it is."""

    summary: str
    detail: str
    subject: SourceRange | None = None

    def __str__(self) -> str:
        where = "<nil>" if self.subject is None else str(self.subject)
        return f"{where}: {self.summary}; {self.detail}"


class HclError(Exception):
    """One or more diagnostics; reads as the first of them and says how many others there are."""

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        text = str(self.diagnostics[0])
        if len(self.diagnostics) > 1:
            text += f", and {len(self.diagnostics) - 1} other diagnostic(s)"
        super().__init__(text)

    @property
    def subject(self) -> SourceRange | None:
        """Where the first problem that has a place is."""
        return next((each.subject for each in self.diagnostics if each.subject), None)


def suggestion(typo: str, names: Iterable[str]) -> str:
    """The first of the names that is less than three edits from the given one, or nothing."""
    return next((name for name in names if _distance_below(typo, name, 3)), "")


def did_you_mean(typo: str, names: Iterable[str]) -> str:
    """` Did you mean "x"?`, or nothing."""
    name = suggestion(typo, names)
    return f' Did you mean "{name}"?' if name else ""


def _distance_below(left: str, right: str, limit: int) -> bool:
    if abs(len(left) - len(right)) >= limit:
        return False
    row = list(range(len(right) + 1))
    for i, a in enumerate(left, 1):
        before, row[0] = row[0], i
        for j, b in enumerate(right, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (a != b))
    return row[-1] < limit
