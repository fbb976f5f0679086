"""Machines to step, and their questions answered: for tests of `step`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from croze.cachekeys.contract import KeyLink, StoredResult
from croze.solver.caches import CacheSource, ResultRecord
from croze.solver.contract import CacheMap, InputKeying, OpContext, Result
from croze.solver.effects import (
    STOP,
    Effect,
    FindEqual,
    Look,
    LookByContent,
    LookForRoots,
    Seek,
)
from croze.solver.events import (
    ContentLeads,
    Event,
    Found,
    IsEqual,
    Leads,
    Rooted,
)
from croze.solver.inputs import InputState
from croze.solver.levels import (
    RESULT,
    Level,
)
from croze.solver.state import EdgeState, Equals, OpState, broken_invariants
from croze.solver.step import step
from tests.solver.arithmetic import Results
from tests.support.memory_keys import MemoryKeys

T0 = datetime(2024, 5, 1, tzinfo=UTC)
RESULTS = Results()
KEYED = "keyed by content"
PREPARED = "prepared"


async def content(result: Result, ctx: OpContext) -> str:
    raise AssertionError("nothing is done here")


async def prepare(result: Result, ctx: OpContext) -> None:
    raise AssertionError("nothing is done here")


KEYINGS = {
    "": InputKeying(),
    KEYED: InputKeying(content=content),
    PREPARED: InputKeying(prepare=prepare),
}


def source(level: Level, *keys: str, **state: object) -> EdgeState:
    """An edge that is somebody's input."""
    edge = EdgeState(OpState(0), 0, level=level, keys=list(keys))
    for name, value in state.items():
        setattr(edge, name, value)
    if level is RESULT:
        edge.result = RESULTS.make(1)
    return edge


def machine(
    *sources: EdgeState, keyings: Sequence[str] = (), is_known: bool = True, forced: bool = False
) -> EdgeState:
    """An edge with these inputs. `is_known`: its op has said its cache map."""
    op = OpState(len(sources), forced)
    if is_known:
        named = [*keyings, *[""] * (len(sources) - len(keyings))]
        op.maps.append(CacheMap("sha256:op", tuple(KEYINGS[name] for name in named)))
        op.maps_done = True
    inputs = tuple(InputState(i, each) for i, each in enumerate(sources))
    return EdgeState(op, 0, inputs)


def record(id: str = "r1", *, own: bool = True, day: int = 1) -> ResultRecord:
    caches = CacheSource(MemoryKeys(), RESULTS)
    return ResultRecord(StoredResult(id, T0.replace(day=day)), "key", caches, own)


def said(effects: Sequence[Effect]) -> list[str]:
    """Told apart, which tuples of nothing are not."""
    return [repr(effect) for effect in effects]


def play(
    edge: EdgeState,
    *events: Event,
    leads: Mapping[str, Sequence[str]] | None = None,
    found: Sequence[ResultRecord] = (),
    equals: Equals | None = None,
) -> list[Effect]:
    """Step, with answers to questions; returns what is to be done besides."""
    done: list[Effect] = []
    told: list[Event] = list(events)
    leads = leads or {}
    while True:
        answers: list[Event] = []
        for effect in step(edge, told):
            if isinstance(effect, Look):
                targets = [target for key in effect.keys for target in leads.get(key, ())]
                answers.append(Leads(effect.input, targets))
            elif isinstance(effect, LookByContent):
                link = KeyLink(effect.input, 0, "sha256:op")
                answers.append(ContentLeads(effect.input, [(link, leads.get("content", ()), ())]))
            elif isinstance(effect, LookForRoots):
                answers.append(Rooted(list(leads.get("roots", ()))))
            elif isinstance(effect, Seek):
                answers.append(Found(found))
            elif isinstance(effect, FindEqual):
                answers.append(IsEqual(equals or Equals()))
            else:
                done.append(effect)
                if effect is STOP:
                    edge.op.running.discard(edge.index)
        assert broken_invariants(edge) == []
        if not answers:
            return done
        told = answers
