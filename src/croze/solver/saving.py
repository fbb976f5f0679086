"""Writing what was made under its cache keys."""

from __future__ import annotations

from collections.abc import Iterable

from croze.cachekeys.contract import KeyLink, KeyStore
from croze.cachekeys.names import new_key
from croze.solver.contract import Result, ResultStore
from croze.solver.inputs import Signature
from croze.solver.matching import common_targets, root_keys
from croze.solver.state import OpState


def find_target(keys: KeyStore, signature: Signature, output: int) -> str | None:
    """A key that every input leads to already."""
    inputs = [[(key, link.to(output)) for link, key in steps] for steps in signature]
    return min(common_targets(keys, inputs), default=None)


def save_executed(
    keys: KeyStore,
    results: ResultStore,
    op: OpState,
    signature: Signature,
    output: int,
    result: Result,
) -> tuple[str, ...]:
    """Save output `output` of an op that ran; returns its keys."""
    if op.inputs:
        saved: tuple[str, ...] = (find_target(keys, signature, output) or new_key(),)
    else:
        saved = tuple(root_keys(op.maps, output))
    stored = results.save(result)
    for key in saved:
        keys.add_result(key, stored)
        link_inputs(keys, signature, output, key)
    return saved


def save_followed(
    keys: KeyStore, signature: Signature, output: int, leader_keys: Iterable[str]
) -> None:
    """Make the keys of an edge lead to the result that another vertex made for it."""
    for key in leader_keys:
        link_inputs(keys, signature, output, key)


def link_inputs(keys: KeyStore, signature: Signature, output: int, target: str) -> None:
    """Lead every step of `signature` to `target`."""
    for steps in signature:
        for link, key in steps:
            if link.input_index >= 0:
                keys.add_link(key, link.to(output), target)


def connect(keys: KeyStore, link: KeyLink, sources: Iterable[str], targets: Iterable[str]) -> None:
    """Lead an input's own keys to where its content leads."""
    for source in sources:
        for target in targets:
            if not keys.leads(source, link, target):
                keys.add_link(source, link, target)
