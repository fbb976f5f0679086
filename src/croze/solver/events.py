"""What has happened, as values that `step` takes in. `effects` go the other way."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

from croze.cachekeys.contract import KeyLink
from croze.errors import CrozeError
from croze.solver.caches import ResultRecord
from croze.solver.contract import Result
from croze.solver.levels import Level
from croze.solver.matching import Crowd
from croze.solver.state import Equals


class Happened(Enum):
    """Events that say it all by their names."""

    CACHES_GREW = "the vertex has more caches to look into"
    FORGIVEN = "whoever still wants the edge gets another try"
    MAP_SAID = "the op has said its next cache map, or failed to"
    RETIRED = "no build has the vertex any more"


class Wants(NamedTuple):
    """The most that is wanted of the edge is another level now."""

    level: Level


class Changed(NamedTuple):
    """The edge that is input `index` has news, or the content of it is known."""

    input: int


class Leads(NamedTuple):
    """Answers `Look`."""

    input: int
    targets: Sequence[str]
    crowds: Sequence[Crowd] = ()


class ContentLeads(NamedTuple):
    """Answers `LookByContent`: for each of the links by definition what the content leads to
    through the same map."""

    input: int
    targets: Sequence[tuple[KeyLink, Sequence[str], Sequence[Crowd]]]


class Rooted(NamedTuple):
    """Answers `LookForRoots`: those that are there."""

    keys: Sequence[str]


class Found(NamedTuple):
    """Answers `Seek`."""

    records: Sequence[ResultRecord]


class Loaded(NamedTuple):
    """The record was loaded; `key` is the daemon's own. The handle is the edge's to release."""

    result: Result
    key: str


class NotLoaded(NamedTuple):
    """The record can't be had; `gone` for good."""

    gone: bool


class IsEqual(NamedTuple):
    """Answers `FindEqual`."""

    equals: Equals


class Shared(NamedTuple):
    """Answers `Share`: the leader's result, a handle of the edge's own."""

    result: Result
    keys: Sequence[str]
    forced: bool


class Saved(NamedTuple):
    """Answers `Save`: under these keys."""

    keys: tuple[str, ...]


class Named(NamedTuple):
    """A key of an import that the edge has goes by this one in the daemon's own cache."""

    key: str


class Failed(NamedTuple):
    """Something that was to be done for the edge has failed."""

    error: CrozeError


Event = (
    Happened
    | Wants
    | Changed
    | Leads
    | ContentLeads
    | Rooted
    | Found
    | Loaded
    | NotLoaded
    | IsEqual
    | Shared
    | Saved
    | Named
    | Failed
)
