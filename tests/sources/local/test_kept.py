"""Directories that earlier builds have left, and several who want them."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from croze.fs.sync.replay import Replay
from croze.sources.local import compare as local_compare
from croze.sources.local.kept import MOST, KeptCandidate, KeptDir
from croze.store.contract import ImmutableRef, RefStore
from tests.sources.prefetch import Bench
from tests.sources.rig import Rig

pytestmark = pytest.mark.root


def opened(refs: RefStore) -> KeptDir:
    return KeptDir(refs, "context", "key")


async def left(refs: RefStore) -> ImmutableRef:
    async with opened(refs) as kept_dir:
        target = await kept_dir.writable()
        (target.dest / "a").touch()
        return await kept_dir.give()


async def test_what_was_found_may_be_a_layer_by_then(rig: Rig) -> None:
    """Another build has begun to write upon it, as `RUN --mount=type=bind,rw` does."""
    refs = rig.store.refs
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


async def test_what_was_chosen_and_not_given_is_let_go(rig: Rig) -> None:
    refs = rig.store.refs
    await (await left(refs)).release()
    async with opened(refs) as kept_dir:
        (candidate,) = kept_dir.candidates()
        await kept_dir.choose(candidate)
    assert not any(record.in_use for record in await refs.disk_usage())


async def test_who_is_cancelled_while_it_is_handed_out_holds_nothing(rig: Rig) -> None:
    """As a transfer is that was begun before anybody wanted it, whenever the build ends."""
    refs, handed_out = rig.store.refs, asyncio.Event()

    async def bring() -> ImmutableRef:
        async with opened(refs) as kept_dir:
            await kept_dir.writable()
            ref = await kept_dir.give()
            handed_out.set()
            return ref

    async with asyncio.TaskGroup() as group:
        task = group.create_task(bring())
        await handed_out.wait()
        task.cancel()
    assert task.cancelled()
    assert not any(record.in_use for record in await refs.disk_usage())


async def test_one_of_many_that_the_client_does_not_tell_apart(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many there are, the notes of two are read, and nothing is written."""
    benches = []
    for number in range(MOST + 2):
        context = tmp_path / f"context{number}"
        context.mkdir()
        (context / "a").write_text(str(number))
        benches.append(Bench(rig, context, "transfer"))
    async with AsyncExitStack() as sessions:
        for bench in benches:
            await sessions.enter_async_context(bench.client())
        refs = [await bench.bring(bench.request()) for bench in benches]
        for ref in refs:
            await ref.release()
        read, replay = [], local_compare._replay

        def counted(candidate: KeptCandidate) -> Replay | None:
            read.append(candidate)
            return replay(candidate)

        monkeypatch.setattr(local_compare, "_replay", counted)
        again = await asyncio.gather(*(bench.bring(bench.request()) for bench in benches))
        assert [ref.id for ref in again] == [ref.id for ref in refs]
        assert len(read) <= 2 * len(benches)
        for ref in again:
            await ref.release()
    assert await benches[0].kept() == (len(benches), 0)
