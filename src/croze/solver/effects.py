"""What an edge wants done, as values: `step` returns them, a shell carries them out.

Some effects are *questions*: they are answered, by an event, before the edge is told anything
else. The others return at once; what comes of them is told some time, if at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from croze.cachekeys.contract import KeyLink
from croze.solver.caches import ResultRecord
from croze.solver.contract import Result
from croze.solver.events import (
    ContentLeads,
    Event,
    Failed,
    Found,
    IsEqual,
    Leads,
    Rooted,
    Saved,
    Shared,
)
from croze.solver.inputs import Signature
from croze.solver.levels import Level


class Doer(Protocol):
    """The shell of an edge. The effects' docstrings say what each of these is to do."""

    def notify(self) -> None: ...
    def ask(self, input: int, level: Level) -> None: ...
    def ask_map(self) -> Event | None: ...
    def leave_map(self) -> None: ...
    def ask_content(self, input: int) -> None: ...
    def stop(self) -> None: ...
    def look(self, input: int, keys: Sequence[str]) -> Leads: ...
    def look_by_content(self, input: int, key: str) -> ContentLeads: ...
    def look_for_roots(self, keys: Sequence[str]) -> Rooted: ...
    def seek(self, keys: Sequence[str]) -> Found: ...
    def connect(self, link: KeyLink, keys: Sequence[str], targets: Sequence[str]) -> None: ...
    def load(self, record: ResultRecord) -> None: ...
    def forget(self, result_id: str) -> None: ...
    def find_equal(self, identity: Signature) -> IsEqual: ...
    def follow(self) -> None: ...
    def unfollow(self) -> None: ...
    def share(self) -> Shared | Failed | None: ...
    def execute(self, run: Execute) -> None: ...
    def save(self) -> Saved: ...
    def release(self, result: Result) -> None: ...


class Effect(Protocol):
    """One thing to be done."""

    def perform(self, doer: Doer, /) -> Event | None:
        """Have it done; returns the answer to a question."""


class Notify(NamedTuple):
    """Tell those who want the edge that it has news."""

    def perform(self, doer: Doer) -> None:
        doer.notify()


class Ask(NamedTuple):
    """Want input `input` at `level` from now on."""

    input: int
    level: Level

    def perform(self, doer: Doer) -> None:
        doer.ask(self.input, self.level)


class AskMap(NamedTuple):
    """Have the op say its next cache map. Answered by `MAP_SAID` if the op knows it at once."""

    def perform(self, doer: Doer) -> Event | None:
        return doer.ask_map()


class LeaveMap(NamedTuple):
    """No need for the cache map any more."""

    def perform(self, doer: Doer) -> None:
        doer.leave_map()


class AskContent(NamedTuple):
    """Have the op look at the content of an input, whose result is there."""

    input: int

    def perform(self, doer: Doer) -> None:
        doer.ask_content(self.input)


class Stop(NamedTuple):
    """No need for contents, for a record or for a run any more."""

    def perform(self, doer: Doer) -> None:
        doer.stop()


class Look(NamedTuple):
    """A question: what do these keys of an input lead to?"""

    input: int
    keys: Sequence[str]

    def perform(self, doer: Doer) -> Leads:
        return doer.look(self.input, self.keys)


class LookByContent(NamedTuple):
    """A question: what does this content key of an input lead to?"""

    input: int
    key: str

    def perform(self, doer: Doer) -> ContentLeads:
        return doer.look_by_content(self.input, self.key)


class LookForRoots(NamedTuple):
    """A question: which of these keys, of an edge without inputs, are in a cache?"""

    keys: Sequence[str]

    def perform(self, doer: Doer) -> Rooted:
        return doer.look_for_roots(self.keys)


class Seek(NamedTuple):
    """A question: which results are there under these keys, that are not known?"""

    keys: Sequence[str]

    def perform(self, doer: Doer) -> Found:
        return doer.seek(self.keys)


class Connect(NamedTuple):
    """Lead these keys of an input to what its content led to: the next look-up is direct."""

    link: KeyLink
    keys: Sequence[str]
    targets: Sequence[str]

    def perform(self, doer: Doer) -> None:
        doer.connect(self.link, self.keys, self.targets)


class Load(NamedTuple):
    """Load this record. `Loaded` or `NotLoaded` follows some time, unless it is stopped."""

    record: ResultRecord

    def perform(self, doer: Doer) -> None:
        doer.load(self.record)


class Forget(NamedTuple):
    """This result of the daemon's own cache is gone."""

    result_id: str

    def perform(self, doer: Doer) -> None:
        doer.forget(self.result_id)


class FindEqual(NamedTuple):
    """A question: does another vertex run the same, or did it, and has it saved a key?"""

    identity: Signature

    def perform(self, doer: Doer) -> IsEqual:
        return doer.find_equal(self.identity)


class Follow(NamedTuple):
    """Want the leader's result, and let its op go on for that."""

    def perform(self, doer: Doer) -> None:
        doer.follow()


class Unfollow(NamedTuple):
    """Leave the leader."""

    def perform(self, doer: Doer) -> None:
        doer.unfollow()


class Share(NamedTuple):
    """A question: what has the leader come to? Nothing, if that was forgotten: it tries again."""

    def perform(self, doer: Doer) -> Shared | Failed | None:
        return doer.share()


class Execute(NamedTuple):
    """Run the op; its results are the vertex's. `signature`: to save with."""

    identity: Signature
    signature: Signature
    forced: bool

    def perform(self, doer: Doer) -> None:
        doer.execute(self)


class Save(NamedTuple):
    """A question: save what the op made of this edge, under which keys?"""

    def perform(self, doer: Doer) -> Saved:
        return doer.save()


class Release(NamedTuple):
    """Nobody needs this handle any more."""

    result: Result

    def perform(self, doer: Doer) -> None:
        doer.release(self.result)


NOTIFY, ASK_MAP, LEAVE_MAP, STOP = Notify(), AskMap(), LeaveMap(), Stop()
FOLLOW, UNFOLLOW, SHARE, SAVE = Follow(), Unfollow(), Share(), Save()
