"""How a wanted edge advances: it looks at what changed, then asks for the next thing."""

from __future__ import annotations

from collections.abc import Sequence

from croze.cachekeys.names import content_key
from croze.errors import CrozeError
from croze.solver.asking import ask, ask_inputs, lower_wishes
from croze.solver.caches import best_record
from croze.solver.contract import CacheMap, Result
from croze.solver.effects import (
    ASK_MAP,
    FOLLOW,
    SAVE,
    SHARE,
    Effect,
    Execute,
    FindEqual,
    Load,
    Look,
    LookByContent,
    LookForRoots,
    Seek,
)
from croze.solver.inputs import InputState, Signature, identity_of, signature_of
from croze.solver.levels import ALL_KEYS, DEFINITION_KEYS, IDLE, NOTHING, RESULT
from croze.solver.matching import flags_of, keying_of, links_of, root_keys
from croze.solver.settling import add_key, fail, mark, relax, set_level
from croze.solver.state import EdgeState, Equals


def advance(edge: EdgeState, effects: list[Effect]) -> None:
    """Take the edge as far as what is known allows. Its next step begins with the answers to the
    effects, or with news of an input."""
    op = edge.op
    if edge.wanted < edge.was_wanted:
        relax(edge, effects)
    edge.was_wanted = edge.wanted
    if op.error is not None:
        fail(edge, op.error, effects)
    elif edge.leader is not None:
        if edge.leader.finished:
            effects.append(SHARE)
    elif op.results is not None and edge.wanted is RESULT:
        _take_executed(edge, op.results, effects)
    elif edge.index not in op.running:
        if not edge.active:
            _activate(edge, effects)
        effects_before = len(effects)
        if edge.maps_seen < len(op.maps):
            _take_maps(edge, effects)
        if edge.changed:
            _look(edge, effects)
        if len(effects) == effects_before and edge.error is None:  # no questions
            _ask_next(edge, effects)


def _activate(edge: EdgeState, effects: list[Effect]) -> None:
    """Begin to ask inputs, and look at those that know something already."""
    edge.active = True
    for item in edge.inputs:
        ask(item, DEFINITION_KEYS, effects)
        _mark_if_known(edge, item)


def _look(edge: EdgeState, effects: list[Effect]) -> None:
    """Look at the inputs that have changed."""
    for item in edge.changed:
        error = item.source.error
        if error is not None:
            fail(edge, error, effects)
            return
    if not edge.op.maps:
        return
    changed, edge.changed = edge.changed, []
    for item in changed:
        item.changed = False
        _refresh(edge, item, effects)
    edge.touched += changed


def _take_maps(edge: EdgeState, effects: list[Effect]) -> None:
    """Look again at what is known with all maps."""
    edge.maps_seen = len(edge.op.maps)
    if edge.op.inputs:
        maps = edge.op.maps
        for item in edge.inputs:
            keying = keying_of(maps, item.index)
            item.rewind(keying, links_of(maps, item.index, edge.index, keying.selector))
            _mark_if_known(edge, item)
    else:
        # The keys of earlier maps, too: what has been saved meanwhile is known by all of them, and
        # who knows it by others has to see that it is the same.
        look_for_roots(edge, edge.op.maps, effects)


def _mark_if_known(edge: EdgeState, item: InputState) -> None:
    """Look at it, if there is anything to see: else it will be told."""
    source = item.source
    if source.level is not NOTHING or source.keys or source.error is not None:
        mark(edge, item)


def look_for_roots(edge: EdgeState, maps: Sequence[CacheMap], effects: list[Effect]) -> None:
    """Look up the keys of an edge without inputs, which follow from its cache maps."""
    if maps and not edge.op.ignore_cache:
        effects.append(LookForRoots(root_keys(maps, edge.index)))


def _refresh(edge: EdgeState, item: InputState, effects: list[Effect]) -> None:
    """Look at the source's new keys and level, and at the content."""
    keys, effects_before = item.source.keys, len(effects)
    if item.keys_seen < len(keys):
        if not edge.op.ignore_cache:
            effects.append(Look(item.index, keys[item.keys_seen :]))
        item.keys_seen = len(keys)
    if not item.content_known and item.index in edge.op.contents:
        item.content_known = True
        if item.content_asked:
            item.content_asked = False
            edge.contents_asked -= 1
        content = edge.op.contents[item.index]
        if content:
            item.content_key = content_key(content)
            if not edge.op.ignore_cache:
                effects.append(LookByContent(item.index, item.content_key))
    if len(effects) == effects_before:  # else when it is answered
        count(edge, item)


def count(edge: EdgeState, item: InputState) -> None:
    """Bring the flags of an input, and the tally of all, up to date."""
    flags = flags_of(
        item.keying,
        item.source.level,
        matched=bool(item.matches or item.crowds),
        content_known=item.content_known,
    )
    if flags is not item.flags:
        edge.tally.change(item.flags, flags)
        item.flags = flags


def _ask_next(edge: EdgeState, effects: list[Effect]) -> None:
    """Everything known was looked at: ask for results, cache maps or inputs."""
    op = edge.op
    if len(edge.keys) > edge.keys_sought and _seek(edge, effects):
        return
    if (not op.maps or not (op.maps_done or edge.records)) and edge.maps_asked <= len(op.maps):
        edge.maps_asked = len(op.maps) + 1
        effects.append(ASK_MAP)
    hopeless = edge.hopeless
    if edge.level < ALL_KEYS:
        _raise_level(edge, hopeless=hopeless)
    if edge.records and edge.wanted is RESULT:
        _load(edge, effects)
    elif op.maps and ask_inputs(edge, effects, hopeless=hopeless):
        edge.identity = identity_of(edge.inputs, op.maps)
        effects.append(FindEqual(edge.identity))


def _seek(edge: EdgeState, effects: list[Effect]) -> bool:
    """Ask for results under new keys, unless only keys are asked for. Whether it does."""
    if edge.wanted < ALL_KEYS and edge.op.maps_done:
        return False
    effects.append(Seek(edge.keys[edge.keys_sought :]))
    edge.keys_sought = len(edge.keys)
    return True


def _raise_level(edge: EdgeState, *, hopeless: bool) -> None:
    """See which level the keys that are known amount to."""
    op = edge.op
    if not op.maps or not (op.maps_done or edge.records):
        return
    defined = edge.tally.defined == len(edge.inputs)
    if hopeless or (edge.keys and defined):
        set_level(edge, ALL_KEYS)
    elif defined:
        set_level(edge, DEFINITION_KEYS)


def _load(edge: EdgeState, effects: list[Effect]) -> None:
    """Load the newest result, the daemon's own before imported ones."""
    if edge.loading is None:
        edge.loading = best_record(edge.records)
        edge.tried |= {edge.loading.stored.id}
        edge.mode = IDLE
        edge.touched.clear()
        lower_wishes(edge, NOTHING, effects)
        effects.append(Load(edge.loading))


def run(edge: EdgeState, equals: Equals, effects: list[Effect]) -> None:
    """All inputs are there and the cache had nothing: run the op, unless something else does or a
    key is to be looked at first."""
    identity, edge.identity = edge.identity, ()
    if equals.leader is not None:
        edge.leader = equals.leader
        effects.append(FOLLOW)
    elif equals.key is not None and equals.key not in edge.keys:
        add_key(edge, equals.key)
    else:
        _execute(edge, identity, effects)


def _execute(edge: EdgeState, identity: Signature, effects: list[Effect]) -> None:
    """Run the op."""
    edge.op.running.add(edge.index)
    forced = any(item.source.forced for item in edge.inputs)
    signature = signature_of(edge.inputs, edge.op.maps) if forced else identity
    effects.append(Execute(identity, signature, forced or edge.op.ignore_cache))


def _take_executed(edge: EdgeState, results: Sequence[Result], effects: list[Effect]) -> None:
    """The op has run: save the result of this output."""
    if edge.index < len(results):
        effects.append(SAVE)
        return
    error = CrozeError(
        f"invalid response from exec need {edge.index} index but {len(results)} results received"
    )
    fail(edge, error, effects)
