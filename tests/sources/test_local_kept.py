"""Directories that earlier builds have left, and several who want them."""

from __future__ import annotations

import pytest

from croze.sources.local_kept import KeptDir
from croze.store.contract import ImmutableRef, RefStore
from tests.sources.workshop import Workshop

pytestmark = pytest.mark.root


def opened(refs: RefStore) -> KeptDir:
    return KeptDir(refs, "context", "key")


async def left(refs: RefStore) -> ImmutableRef:
    async with opened(refs) as kept_dir:
        target = await kept_dir.writable()
        (target.dest / "a").touch()
        return await kept_dir.give()


async def test_what_was_found_may_be_a_layer_by_then(workshop: Workshop) -> None:
    """Another build has begun to write upon it, as `RUN --mount=type=bind,rw` does."""
    refs = workshop.store.refs
    other = await left(refs)
    async with opened(refs) as kept_dir:
        (candidate,) = kept_dir.candidates()
        above = await refs.new(other)
        await kept_dir.choose(candidate)
        found = await kept_dir.give()
    assert found.id == other.id
    assert not refs.find(local_shared_key="key")
    for ref in (above, other, found):
        await ref.release()
    assert not any(record.in_use for record in await refs.disk_usage())


async def test_what_was_chosen_and_not_given_is_let_go(workshop: Workshop) -> None:
    refs = workshop.store.refs
    await (await left(refs)).release()
    async with opened(refs) as kept_dir:
        (candidate,) = kept_dir.candidates()
        await kept_dir.choose(candidate)
    assert not any(record.in_use for record in await refs.disk_usage())
