"""Contents of cache mounts: read and replaced whole, whoever uses them meanwhile."""

from __future__ import annotations

import asyncio
import os

import pytest

from croze.store.contract import MutableRef, Sharing
from croze.store.open import Store
from tests.store.conftest import Opener
from tests.store.trees import make_ref, read_tree, write_tree

SHARED, PRIVATE, LOCKED = Sharing.SHARED, Sharing.PRIVATE, Sharing.LOCKED


async def fill(store: Store, sharing: Sharing = SHARED, **files: str) -> str:
    async with store.refs.cache_mount("id", None, sharing) as ref:
        async with ref.mounted(readonly=False) as root:
            write_tree(root, files)
        return ref.id


async def names(ref: MutableRef) -> list[str]:
    async with ref.mounted(readonly=True) as root:
        return sorted(read_tree(root))


async def test_all_that_there_are(store: Store) -> None:
    base = await make_ref(store.refs, None, {"base": "1"})
    await fill(store, a="1")
    async with store.refs.cache_mount("with:colon", base, LOCKED, description="d") as held:
        held.set_meta(color="red")
        first, second = store.refs.cache_mounts.all()
    assert (first.id, first.base_id, first.in_use) == ("with:colon", base.id, True)
    assert (first.notes["color"], first.description) == ("red", "d")
    assert (second.id, second.base_id, second.in_use) == ("id", "", False)
    await base.release()


async def test_an_id_with_a_colon_is_another_one(store: Store) -> None:
    async with store.refs.cache_mount("id:more", None, SHARED) as ref:
        id = ref.id
    await store.refs.forget_cache_mounts({"id"})
    assert store.refs.exists(id)


async def test_reading_is_no_use(store: Store) -> None:
    await fill(store, a="1")
    (before,) = store.refs.cache_mounts.all()
    async with store.refs.cache_mounts.reading("id", "", SHARED) as held:
        assert held is not None
        assert os.listdir(held.path) == ["a"]
    assert store.refs.cache_mounts.all() == [before]
    async with store.refs.cache_mounts.reading("other", "", SHARED) as held:
        assert held is None


@pytest.mark.parametrize("sharing", [SHARED, PRIVATE, LOCKED])
async def test_who_comes_while_it_is_read_waits_for_it(store: Store, sharing: Sharing) -> None:
    id = await fill(store, a="1")
    got: list[str] = []

    async def use() -> None:
        async with store.refs.cache_mount("id", None, sharing) as ref:
            got.append(ref.id)

    async with asyncio.TaskGroup() as group, store.refs.cache_mounts.reading("id", "", sharing):
        group.create_task(use())
        for _ in range(20):
            await asyncio.sleep(0)
        assert got == []
    assert got == [id]


@pytest.mark.parametrize(("used", "read", "waits"), [
    (SHARED, SHARED, False),
    (SHARED, LOCKED, True),
    (LOCKED, SHARED, True),
    (LOCKED, LOCKED, True),
    (PRIVATE, SHARED, True),
])  # fmt: skip
async def test_reading_waits_for_who_writes_alone(
    store: Store, used: Sharing, read: Sharing, waits: bool
) -> None:
    await fill(store, a="1")
    done = asyncio.Event()

    async def look() -> None:
        async with store.refs.cache_mounts.reading("id", "", read) as held:
            assert held is not None
            done.set()

    async with asyncio.TaskGroup() as group, store.refs.cache_mount("id", None, used):
        group.create_task(look())
        for _ in range(20):
            await asyncio.sleep(0)
        assert done.is_set() is not waits
    assert done.is_set()


@pytest.mark.parametrize("with_base", [False, True])
async def test_a_replacement_is_there_when_it_is_whole(store: Store, with_base: bool) -> None:
    base = await make_ref(store.refs, None, {"base": "1"}) if with_base else None
    async with store.refs.cache_mount("id", base, SHARED) as ref:
        old_id = ref.id
        async with ref.mounted(readonly=False) as root:
            write_tree(root, {"old": "1"})

    async def break_off() -> None:
        async with store.refs.cache_mounts.replacing("id", base, SHARED) as broken:
            assert broken is not None
            write_tree(broken.new.path, {"half": "1"})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await break_off()
    assert [m.ref_id for m in store.refs.cache_mounts.all()] == [old_id]
    async with store.refs.cache_mounts.replacing("id", base, SHARED) as made:
        assert made is not None
        assert made.old is not None
        assert "old" in os.listdir(made.old.path)
        write_tree(made.new.path, {"new": "1"})
        made.new.ref.set_meta(color="red")
    assert not store.refs.exists(old_id)
    async with store.refs.cache_mount("id", base, SHARED) as ref:
        assert await names(ref) == (["base", "new"] if with_base else ["new"])
        assert ref.get_meta("color") == "red"
    if base is not None:
        await base.release()


async def test_what_others_use_is_not_replaced(store: Store) -> None:
    mounts = store.refs.cache_mounts
    async with store.refs.cache_mount("id", None, SHARED) as ref:
        async with mounts.replacing("id", None, SHARED) as nothing:
            assert nothing is None
        async with mounts.replacing("id", None, PRIVATE) as made:
            assert made is not None
            assert made.old is None
    assert {m.ref_id for m in mounts.all()} == {ref.id, made.new.ref.id}


async def test_first_contents_come_before_who_wants_to_use_them(store: Store) -> None:
    found: list[list[str]] = []

    async def use() -> None:
        async with store.refs.cache_mount("id", None, SHARED) as ref:
            found.append(await names(ref))

    async with (
        asyncio.TaskGroup() as group,
        store.refs.cache_mounts.replacing("id", None, SHARED) as made,
    ):
        assert made is not None
        group.create_task(use())
        for _ in range(20):
            await asyncio.sleep(0)
        write_tree(made.new.path, {"new": "1"})
    assert found == [["new"]]


async def test_what_was_replaced_survives_a_restart(opener: Opener) -> None:
    async with opener() as store:
        await fill(store, old="1")
        async with store.refs.cache_mounts.replacing("id", None, LOCKED) as made:
            assert made is not None
            write_tree(made.new.path, {"new": "1"})
    async with opener() as store:
        assert await store.verify() == []
        async with store.refs.cache_mount("id", None, LOCKED) as ref:
            assert await names(ref) == ["new"]
        assert len(store.refs.cache_mounts.all()) == 1
