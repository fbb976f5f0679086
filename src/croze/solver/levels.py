"""How far an edge has come, what it asks its inputs for, and what each of them counts for."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum, IntEnum
from typing import Generic, NamedTuple, TypeVar

from msgspec import Struct

W = TypeVar("W")


class Level(IntEnum):
    """What is known of an edge, and what is wanted of it. Each holds those before it."""

    NOTHING = 0
    DEFINITION_KEYS = 1
    """All keys that follow from definitions alone."""
    ALL_KEYS = 2
    """All keys that can be found short of running the edge itself."""
    RESULT = 3


NOTHING, DEFINITION_KEYS, ALL_KEYS, RESULT = Level


class Mode(Enum):
    """What an edge asks its inputs for."""

    IDLE = "idle"
    """Nothing more."""
    UNMATCHED = "unmatched"
    """Some inputs match nothing yet: those for more."""
    OPEN = "open"
    """Every input matches something, but nothing in common, or nothing with a result: all for
    more."""
    RUN = "run"
    """No match is possible: all for their results, and for their content to save with."""


IDLE, UNMATCHED, OPEN, RUN = Mode


class InputFlags(NamedTuple):
    """What one input counts for."""

    defined: bool
    """Its definition keys are known."""
    unmatched: bool
    """Nothing that is known of it leads to a key in any cache."""
    closed: bool
    """It can bring no key that it has not brought."""
    dead: bool
    """Closed and unmatched."""
    ready: bool
    """Its result is there, and its content, if that is to be saved with."""


NO_FLAGS = InputFlags(*[False] * 5)


class Tally(Struct):
    """How many inputs of an edge have which flag."""

    defined: int = 0
    unmatched: int = 0
    closed: int = 0
    dead: int = 0
    ready: int = 0

    def change(self, old: InputFlags, new: InputFlags) -> None:
        """An input's flags are `new` now."""
        self.defined += new.defined - old.defined
        self.unmatched += new.unmatched - old.unmatched
        self.closed += new.closed - old.closed
        self.dead += new.dead - old.dead
        self.ready += new.ready - old.ready


def tally_of(flags: Iterable[InputFlags]) -> Tally:
    """The tally that inputs with these flags add up to."""
    return Tally(*(sum(column) for column in zip(*flags, strict=True)))


class WantedLevels(Generic[W]):
    """What is wanted of one edge: each wanter's level, and the highest of them."""

    __slots__ = ("_counts", "by", "most")

    def __init__(self) -> None:
        self.by: dict[W, Level] = {}
        self.most: Level = NOTHING
        self._counts = [0, 0, 0, 0]

    def want(self, who: W, level: Level) -> bool:
        """Note that `who` wants `level` from now on, or leaves with NOTHING. Whether `most` has
        changed."""
        old = self.by.get(who, NOTHING)
        if old is level:
            return False
        counts = self._counts
        counts[old] -= 1
        counts[level] += 1
        if level:
            self.by[who] = level
        else:
            del self.by[who]
        most: Level = NOTHING
        if self.by:
            most = RESULT if counts[3] else ALL_KEYS if counts[2] else DEFINITION_KEYS
        if most is self.most:
            return False
        self.most = most
        return True
