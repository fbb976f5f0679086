"""How an edge moves: what it is told, and what it wants done.

An edge is asked for a level; to come to it, it asks its inputs. It never waits: a step takes in
what has happened, asks for the next thing, and is taken again when that has come. Work per step
depends on what changed, not on how many inputs there are.

Pure: it reads and changes `state`, and does nothing else. Its parts are `advancing` (what comes
next), `asking` (of inputs) and `settling` (the end).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from croze.cachekeys.names import is_imported
from croze.solver.advancing import advance, count, look_for_roots, run
from croze.solver.effects import NOTIFY, Connect, Effect, Forget, Release
from croze.solver.events import (
    Changed,
    ContentLeads,
    Event,
    Failed,
    Found,
    Happened,
    IsEqual,
    Leads,
    Loaded,
    Named,
    NotLoaded,
    Rooted,
    Saved,
    Shared,
    Wants,
)
from croze.solver.inputs import InputState
from croze.solver.matching import Crowd
from croze.solver.settling import add_key, fail, finish, mark, rest
from croze.solver.state import EdgeState


def step(edge: EdgeState, events: Sequence[Event] = ()) -> list[Effect]:
    """Take in what has happened, and what has changed in the op's state; say what is to be done,
    in order. Once retired, an edge only gives back what still comes."""
    effects: list[Effect] = []
    for event in events:
        if isinstance(event, Changed):
            if edge.inputs:
                mark(edge, edge.inputs[event.input])
        elif isinstance(event, Wants):
            edge.wanted = event.level
        else:
            _take(edge, event, effects)
    if edge.retired:
        return effects
    if not edge.wanted:
        rest(edge, effects)
    elif edge.result is None and edge.error is None:
        advance(edge, effects)
    if edge.news:
        edge.news = False
        effects.append(NOTIFY)
    return effects


def _take(edge: EdgeState, event: Event, effects: list[Effect]) -> None:
    if isinstance(event, Leads):
        _match(edge, edge.inputs[event.input], event.targets, event.crowds)
        if edge.matched_late:
            _connect_late(edge, effects)
    elif isinstance(event, Happened):
        _take_happening(edge, event, effects)
    elif isinstance(event, IsEqual):
        run(edge, event.equals, effects)
    elif isinstance(event, Saved):
        _take_saved(edge, event, effects)
    elif isinstance(event, ContentLeads):
        _match_content(edge, event, effects)
    elif isinstance(event, Rooted):
        for key in event.keys:
            add_key(edge, key)
    elif isinstance(event, Found):
        _take_records(edge, event)
    elif isinstance(event, Named):
        edge.keys.append(event.key)
    else:
        _take_outcome(edge, event, effects)


def _take_outcome(edge: EdgeState, event: Event, effects: list[Effect]) -> None:
    if isinstance(event, Failed):
        fail(edge, event.error, effects)
    elif isinstance(event, NotLoaded):
        _drop_record(edge, effects, gone=event.gone)
    elif isinstance(event, Loaded | Shared):
        _take_result(edge, event, effects)


def _take_saved(edge: EdgeState, event: Saved, effects: list[Effect]) -> None:
    results = edge.op.results
    assert results is not None
    edge.forced = edge.op.forced
    finish(edge, results[edge.index], event.keys, effects)


def _take_result(edge: EdgeState, event: Loaded | Shared, effects: list[Effect]) -> None:
    if edge.retired or edge.result is not None:
        effects.append(Release(event.result))
        return
    edge.owned += (event.result,)
    if isinstance(event, Shared):
        edge.forced = event.forced
        finish(edge, event.result, tuple(event.keys), effects)
    else:
        finish(edge, event.result, (event.key,), effects)


def _take_happening(edge: EdgeState, event: Happened, effects: list[Effect]) -> None:
    if event is Happened.FORGIVEN:
        edge.error = None
    elif event is Happened.CACHES_GREW:
        # What runs goes on; but a source's keys may spare its consumers the result that it is
        # about to have.
        edge.keys_sought = 0
        if not edge.op.inputs:
            look_for_roots(edge, edge.op.maps[: edge.maps_seen], effects)
        edge.maps_seen = 0
    elif event is Happened.RETIRED:
        rest(edge, effects)
        edge.retired = True
        edge.result = None
        effects.extend(Release(each) for each in edge.owned)
        edge.owned = ()


def _match(
    edge: EdgeState, item: InputState, targets: Iterable[str], crowds: Sequence[Crowd]
) -> None:
    """Take in that an input leads to `targets`; a key that all inputs lead to is a key of this
    edge."""
    for target in targets:
        if target not in item.matches:
            _hit(edge, item, target)
    for crowd in crowds:
        _take_crowd(edge, item, crowd)
    count(edge, item)


def _hit(edge: EdgeState, item: InputState, target: str) -> None:
    """An input leads to one more key; those that lead to crowds are asked whether they do, too."""
    item.matches.add(target)
    if len(edge.inputs) == 1:
        add_key(edge, target)
        return
    if edge.hits is None:
        edge.hits = {}
    edge.hits[target] = edge.hits.get(target, 0) + 1
    for other in edge.crowded:
        if target not in other.matches and any(each.has(target) for each in other.crowds.values()):
            other.matches.add(target)
            edge.hits[target] += 1
            if other.content_crowds:
                edge.matched_late.append((other, target))
    if edge.hits[target] == len(edge.inputs):
        add_key(edge, target)


def _take_crowd(edge: EdgeState, item: InputState, crowd: Crowd) -> None:
    """Only what other inputs lead to counts of it. It is listed if all inputs lead to crowds: then
    they may have in common what none has told."""
    item.crowds[crowd.source_key, crowd.link] = crowd
    if item not in edge.crowded:
        edge.crowded += (item,)
    if len(edge.crowded) == len(edge.inputs):
        common: Iterable[str] = crowd.targets()
    else:
        common = [target for target in edge.hits or () if crowd.has(target)]
    for target in common:
        if target not in item.matches:
            _hit(edge, item, target)
            if item.content_crowds:
                edge.matched_late.append((item, target))


def _match_content(edge: EdgeState, event: ContentLeads, effects: list[Effect]) -> None:
    item = edge.inputs[event.input]
    keys = item.own_keys()
    for link, targets, crowds in event.targets:
        _match(edge, item, targets, crowds)
        common = [t for t in item.matches if any(crowd.has(t) for crowd in crowds)]
        own = [target for target in (*targets, *common) if not is_imported(target)]
        if keys and own:
            effects.append(Connect(link, keys, own))
        item.content_crowds += tuple((link, crowd) for crowd in crowds)
    if edge.matched_late:
        _connect_late(edge, effects)


def _connect_late(edge: EdgeState, effects: list[Effect]) -> None:
    """Lead an input's own keys to what turns out to count of the crowds that its content leads
    to."""
    matched, edge.matched_late = edge.matched_late, []
    for item, target in matched:
        keys = item.own_keys()
        for link, crowd in item.content_crowds:
            if keys and not is_imported(target) and crowd.has(target):
                effects.append(Connect(link, keys, [target]))


def _take_records(edge: EdgeState, event: Found) -> None:
    earlier_ids = edge.tried | {each.stored.id for each in edge.records}
    edge.records += tuple(each for each in event.records if each.stored.id not in earlier_ids)


def _drop_record(edge: EdgeState, effects: list[Effect], *, gone: bool) -> None:
    """Loading failed: leave that result alone, and forget it if it is gone."""
    record, edge.loading = edge.loading, None
    if record is not None:
        edge.records = tuple(each for each in edge.records if each is not record)
        if gone and record.own:
            effects.append(Forget(record.stored.id))
    edge.active = False
