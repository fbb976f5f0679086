"""Refs that are given out while their files are still being written."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
from pathlib import Path

import pytest

from croze.errors import NotFound, ResourceExhausted
from croze.store.contract import ImmutableRef, PrunePolicy
from croze.store.open import Store
from tests.store.conftest import Opener
from tests.store.trees import make_ref, tree_of, write_tree
from tests.support.work import told_statements


class Rest:
    """What is left to be written, once it may be."""

    def __init__(self, error: Exception | None = None) -> None:
        self.may_go_on = asyncio.Event()
        self._error = error

    async def write(self, root: Path) -> None:
        await self.may_go_on.wait()
        if self._error is not None:
            raise self._error
        write_tree(root, {"a": "1", "b/c": "2"})

    async def ref(self, store: Store) -> tuple[str, ImmutableRef]:
        """The id of what is written to, and a ref on it."""
        ref = await store.refs.new(None, record_type="source.local")
        ref.set_meta(color="red")
        ref.side_file("index").write_text("one")
        return ref.id, await ref.commit(retain=True, rest=self.write)


async def test_who_wants_the_files_waits_for_them(opener: Opener) -> None:
    with told_statements() as told:
        async with opener() as store:
            rest = Rest()
            await (await make_ref(store.refs, None, {"first": ""})).release()
            told.clear()
            id, ref = await rest.ref(store)
            assert ref.unwritten
            await ref.unlazy()
            assert ref.side_file("index").read_text() == "one"
            assert store.refs.find(color="red") == [id]
            assert not told
            async with asyncio.TaskGroup() as group:
                reading = group.create_task(tree_of(ref))
                building = group.create_task(make_ref(store.refs, ref, {"d": "3"}))
                measuring = group.create_task(ref.usage())
                await asyncio.sleep(0)
                assert not any(each.done() for each in (reading, building, measuring))
                rest.may_go_on.set()
            tree, child, size_bytes = reading.result(), building.result(), measuring.result()
            assert tree == {"a": "1", "b/c": "2"}
            assert await tree_of(child) == {**tree, "d": "3"}
            assert size_bytes
            assert not ref.unwritten
            await child.release()
            await ref.release()
    async with opener() as store:
        assert store.refs.exists(ref.id)


async def test_it_is_written_down_when_all_is_there(opener: Opener) -> None:
    """Until then a kill leaves nothing of it; the end of the daemon waits."""
    rest = Rest()
    async with opener() as store:
        id, ref = await rest.ref(store)
        for table in ("records", "snapshots"):
            assert id not in str(store.db.read(f"SELECT * FROM {table}"))
        await ref.release()
        asyncio.get_running_loop().call_later(0.01, rest.may_go_on.set)
    async with opener() as store:
        assert store.refs.find(color="red") == [id]
        again = await store.refs.get_mutable(id)
        async with again.mounted(readonly=False) as root:
            assert sorted(os.listdir(root)) == ["a", "b"]
        await again.release()
        assert await store.verify() == []


async def test_nobody_else_writes_to_it_meanwhile(opener: Opener) -> None:
    async with opener() as store:
        rest = Rest()
        id, ref = await rest.ref(store)
        await ref.release()
        async with asyncio.TaskGroup() as group:
            taking = group.create_task(store.refs.get_mutable(id))
            group.create_task(pruned(store))
            await asyncio.sleep(0)
            rest.may_go_on.set()
            again = await taking
            async with again.mounted(readonly=False) as root:
                assert sorted(os.listdir(root)) == ["a", "b"]
        await again.release()
        await pruned(store)
        assert not store.refs.exists(id)
        assert os.listdir(store.root / "side") == []


async def test_who_waits_for_it_does_not_get_what_has_become_a_layer(opener: Opener) -> None:
    """Another build wants to write to it, and the first lays a layer on it: both wait for it."""
    async with opener() as store:
        rest = Rest()
        id, ref = await rest.ref(store)

        async def take() -> None:
            with pytest.raises(NotFound):
                await store.refs.get_mutable(id)

        async with asyncio.TaskGroup() as group:
            building = group.create_task(make_ref(store.refs, ref, {"d": "3"}))
            await asyncio.sleep(0)
            group.create_task(take())
            await asyncio.sleep(0)
            rest.may_go_on.set()
        child = building.result()
        assert await tree_of(child) == {"a": "1", "b/c": "2", "d": "3"}
        for each in (child, ref):
            await each.release()
        assert await store.verify() == []


async def pruned(store: Store) -> None:
    async for _ in store.refs.prune([PrunePolicy(all=True)]):
        pass


@pytest.mark.parametrize("is_held", [True, False])
async def test_what_could_not_be_written_is_not_found(
    opener: Opener, is_held: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    async with opener() as store:
        rest = Rest(OSError(errno.ENOSPC, "No space left on device"))
        id, ref = await rest.ref(store)
        if not is_held:
            await ref.release()
        asyncio.get_running_loop().call_soon(rest.may_go_on.set)
        with pytest.raises(NotFound):
            await store.refs.get_mutable(id)
        assert store.refs.find(color="red") == []
        if is_held:
            for _ in range(2):
                with pytest.raises(ResourceExhausted, match="no space left on device"):
                    await tree_of(ref)
            assert not store.refs.exists(ref.id), "nor taken for a result by who has its id"
            await ref.release()
            await pruned(store)
        assert not store.refs.exists(id)
        assert await store.verify() == []
    assert "could not be written" in caplog.text


async def test_whatever_has_kept_it_from_being_written_is_in_nobody_elses_way(
    opener: Opener,
) -> None:
    async with opener() as store:
        rest = Rest(ValueError("not foreseen"))
        rest.may_go_on.set()
        _, ref = await rest.ref(store)
        with pytest.raises(ValueError, match="not foreseen"):
            await tree_of(ref)
        assert len(await store.refs.disk_usage()) == 1
        await ref.release()
        await pruned(store)
        assert await store.refs.disk_usage() == []
        _, ref = await rest.ref(store)
        await ref.release()
