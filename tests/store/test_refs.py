"""Refs: made, found, committed, retained, shared and gone."""

from __future__ import annotations

import asyncio
import os

import pytest

from croze.errors import AlreadyExists, InvalidRequest, NotFound
from croze.fs.content.checksum import Query, checksum
from croze.store.contract import PrunePolicy, Sharing
from croze.store.open import Store
from tests.store.conftest import Opener
from tests.store.trees import make_ref, names_of, read_tree, tree_of, write_tree


async def test_children_see_their_parents(store: Store) -> None:
    base = await make_ref(store.refs, None, {"a": "1", "d/b": "2"})
    child = await make_ref(store.refs, base, {"d/c": "3", "a": "4"}, "d/b")
    assert await tree_of(base) == {"a": "1", "d/b": "2"}
    assert await tree_of(child) == {"a": "4", "d/c": "3"}
    assert child.parent_ids == (base.id,)
    await base.release()
    await child.release()


async def test_a_committed_ref_survives_a_restart(opener: Opener) -> None:
    async with opener() as store:
        base = await make_ref(store.refs, None, {"a": "1"})
        child = await make_ref(store.refs, base, {"b": "2"})
        child.set_meta(color="red")
        child.side_file("index").write_text("kept")
        await base.release()
        await child.release()
    async with opener() as store:
        again = await store.refs.get(child.id)
        assert await tree_of(again) == {"a": "1", "b": "2"}
        assert again.get_meta("color") == "red"
        assert again.side_file("index").read_text() == "kept"
        assert store.refs.find(color="red") == [child.id]
        assert store.refs.find(color="blue") == []
        await again.release()


async def test_what_was_not_committed_is_swept(opener: Opener) -> None:
    snapshots = opener.root / "snapshots"
    async with opener() as store:
        before = os.listdir(snapshots)
        ref = await store.refs.new(None)
        async with ref.mounted(readonly=False) as root:
            write_tree(root, {"a": "1"})
    async with opener() as store:
        assert not store.refs.exists(ref.id)
        assert await store.verify() == []
        assert os.listdir(snapshots) == before


async def test_released_mutable_ref_is_gone(store: Store) -> None:
    ref = await store.refs.new(None)
    await ref.release()
    assert not store.refs.exists(ref.id)
    with pytest.raises(NotFound):
        await store.refs.get(ref.id)


async def test_unknown_ids(store: Store) -> None:
    with pytest.raises(NotFound):
        await store.refs.get("nope")
    with pytest.raises(NotFound):
        await store.refs.get_mutable("nope")


async def test_immutable_refs_can_not_be_written(store: Store) -> None:
    base = await make_ref(store.refs, None, {"a": "1"})
    with pytest.raises(InvalidRequest):
        base.mounted(readonly=False)
    assert all("ro" in m.options for m in await base.mounts(readonly=False))
    await base.release()
    with pytest.raises(InvalidRequest):
        await base.mounts(readonly=True)


async def test_users_share_one_mount(store: Store) -> None:
    base = await make_ref(store.refs, None, {"a": "1"})
    child = await make_ref(store.refs, base, {"b": "2"})
    async with child.mounted(readonly=True) as one, child.mounted(readonly=True) as two:
        assert one == two
    async with base.mounted(readonly=True) as path:
        assert "snapshots" in path.parts
    await base.release()
    await child.release()


async def test_retained_refs_are_given_out_again(opener: Opener) -> None:
    async with opener() as store:
        ref = await store.refs.new(None, record_type="source.local")
        async with ref.mounted(readonly=False) as root:
            write_tree(root, {"a": "1"})
        ref.side_file("index").write_text("one")
        view = await ref.commit(retain=True)
        assert view.id != ref.id
        assert await tree_of(view) == {"a": "1"}
        assert view.side_file("index").read_text() == "one"
        with pytest.raises(AlreadyExists):
            await store.refs.get_mutable(ref.id)
        second = await store.refs.get(view.id)
        await view.release()
        with pytest.raises(AlreadyExists):
            await store.refs.get_mutable(ref.id)
        await second.release()
    async with opener() as store:
        third = await store.refs.get(view.id)
        assert await tree_of(third) == {"a": "1"}
        await third.release()
        again = await store.refs.get_mutable(ref.id)
        assert not store.refs.exists(view.id)
        async with again.mounted(readonly=False) as root:
            assert read_tree(root) == {"a": "1"}
        await again.release()
        assert store.refs.exists(ref.id)


async def test_building_on_a_retained_ref_makes_it_stand_alone(store: Store) -> None:
    ref = await store.refs.new(None)
    async with ref.mounted(readonly=False) as root:
        write_tree(root, {"a": "1"})
    ref.side_file("index").write_text("one")
    view = await ref.commit(retain=True)
    child = await make_ref(store.refs, view, {"b": "2"})
    assert not store.refs.exists(ref.id)
    assert view.side_file("index").read_text() == "one"
    assert await tree_of(view) == {"a": "1"}
    assert await tree_of(child) == {"a": "1", "b": "2"}
    await view.release()
    await child.release()


async def test_side_files_stay_where_they_are(opener: Opener) -> None:
    """Whoever computes checksums of a ref notes them there, while others build on it."""
    async with opener() as store:
        ref = await store.refs.new(None)
        async with ref.mounted(readonly=False) as root:
            write_tree(root, {"a": "1"})
        view = await ref.commit(retain=True)
        async with view.mounted(readonly=True) as root:
            notes = view.side_file("checksums")
            child = await make_ref(store.refs, view, {"b": "2"})
            assert checksum(str(root), str(notes), [Query("a")])
        assert view.side_file("checksums") == notes
        assert notes.exists()
        await child.release()
        await view.release()
    async with opener() as store:
        again = await store.refs.get(view.id)
        assert again.side_file("checksums").exists()
        await again.release()
        assert [gone.id async for gone in store.refs.prune([PrunePolicy(all=True)])]
        assert list((store.root / "side").iterdir()) == []


async def test_one_daemon_a_root(opener: Opener) -> None:
    async with opener():
        with pytest.raises(AlreadyExists, match="another instance"):
            async with opener():
                pass


async def test_merge_puts_layers_on_top_of_each_other(store: Store) -> None:
    a = await make_ref(store.refs, None, {"a": "1", "x": "a"})
    b = await make_ref(store.refs, None, {"b": "2", "x": "b"})
    c = await make_ref(store.refs, b, {"c": "3"}, "b")
    merged = await store.refs.merge([a, c])
    assert await tree_of(merged) == {"a": "1", "x": "b", "c": "3"}
    assert await names_of(merged) == ["a", "c", "x"]
    on_top = await make_ref(store.refs, merged, {"d": "4"}, "a")
    assert await tree_of(on_top) == {"x": "b", "c": "3", "d": "4"}
    for ref in (a, b, c, merged, on_top):
        await ref.release()


async def test_merge_of_one_is_itself(store: Store) -> None:
    a = await make_ref(store.refs, None, {"a": "1"})
    merged = await store.refs.merge([a])
    assert merged.id == a.id
    await a.release()
    await merged.release()
    with pytest.raises(InvalidRequest):
        await store.refs.merge([])


async def test_a_replaced_directory_hides_only_what_it_replaced(store: Store) -> None:
    base = await make_ref(store.refs, None, {"d/old": "1", "d/sub/old": "2"})
    upper = await make_ref(store.refs, base, {"d/new": "3"}, "d")
    assert await tree_of(upper) == {"d/new": "3"}
    changes = await store.refs.diff(base, upper)
    assert await tree_of(changes) == {"d/new": "3"}
    other = await make_ref(store.refs, None, {"d/other": "4", "d/old": "5", "d/sub/old": "6"})
    merged = await store.refs.merge([other, changes])
    assert await tree_of(merged) == {"d/other": "4", "d/new": "3"}
    for ref in (base, upper, changes, other, merged):
        await ref.release()


async def test_diff_of_an_ancestor_is_its_own_layers(store: Store) -> None:
    base = await make_ref(store.refs, None, {"a": "1", "gone": "x", "deep/gone": "y"})
    one = await make_ref(store.refs, base, {"b": "2"}, "gone", "deep/gone")
    two = await make_ref(store.refs, one, {"c": "3"})
    changes = await store.refs.diff(base, two)
    assert await tree_of(changes) == {"b": "2", "c": "3"}
    assert "deep/gone" not in await names_of(changes)
    assert "gone" not in await names_of(changes)
    other = await make_ref(store.refs, None, {"gone": "z", "keep": "k"})
    merged = await store.refs.merge([other, changes])
    assert await tree_of(merged) == {"b": "2", "c": "3", "keep": "k"}
    assert not any("gone" in n for n in await names_of(merged))
    for ref in (base, one, two, changes, other, merged):
        await ref.release()


async def test_diff_of_strangers_is_computed(store: Store) -> None:
    left = await make_ref(store.refs, None, {"same": "1", "old": "2", "deep/old": "4"})
    right = await make_ref(store.refs, None, {"same2": "1", "new": "3"})
    changes = await store.refs.diff(left, right)
    assert await tree_of(changes) == {"same2": "1", "new": "3"}
    other = await make_ref(store.refs, None, {"old": "kept?", "mine": "5"})
    merged = await store.refs.merge([other, changes])
    assert await tree_of(merged) == {"same2": "1", "new": "3", "mine": "5"}
    for ref in (left, right, changes, other, merged):
        await ref.release()


async def test_diff_with_nothing(store: Store) -> None:
    ref = await make_ref(store.refs, None, {"a": "1"})
    same = await store.refs.diff(None, ref)
    assert same.id == ref.id
    nothing = await store.refs.diff(ref, ref)
    assert await tree_of(nothing) == {}
    removed = await store.refs.diff(ref, None)
    merged = await store.refs.merge([ref, removed])
    assert await tree_of(merged) == {}
    for each in (ref, same, nothing, removed, merged):
        await each.release()


async def test_shared_cache_mounts_are_one(store: Store) -> None:
    refs = store.refs
    async with (
        refs.cache_mount("id", None, Sharing.SHARED) as one,
        refs.cache_mount("id", None, Sharing.SHARED) as two,
        refs.cache_mount("other", None, Sharing.SHARED) as three,
    ):
        assert one.id == two.id != three.id
        assert await one.mounts(readonly=False) == await two.mounts(readonly=False)
    async with refs.cache_mount("id", None, Sharing.SHARED) as again:
        assert again.id == one.id


async def test_forgotten_cache_mounts_start_anew(store: Store) -> None:
    refs = store.refs
    base = await make_ref(refs, None, {"base": "1"})
    async with refs.cache_mount("id", None, Sharing.LOCKED) as busy:
        async with (
            refs.cache_mount("id", base, Sharing.LOCKED) as on_base,
            refs.cache_mount("other", None, Sharing.LOCKED) as other,
        ):
            known = on_base.id, other.id
        await refs.forget_cache_mounts({"id"})
        assert refs.exists(busy.id)
        async with refs.cache_mount("id", None, Sharing.LOCKED) as fresh:
            assert fresh.id != busy.id
        async with (
            refs.cache_mount("id", base, Sharing.LOCKED) as on_base,
            refs.cache_mount("other", None, Sharing.LOCKED) as other,
        ):
            assert on_base.id != known[0]
            assert other.id == known[1]
    assert not refs.exists(busy.id)
    await base.release()


async def test_private_cache_mounts_are_apart(store: Store) -> None:
    refs = store.refs
    async with refs.cache_mount("id", None, Sharing.PRIVATE) as one:
        async with refs.cache_mount("id", None, Sharing.PRIVATE) as two:
            assert one.id != two.id
        async with refs.cache_mount("id", None, Sharing.PRIVATE) as three:
            assert three.id == two.id


async def test_locked_cache_mounts_wait(store: Store) -> None:
    order: list[str] = []
    entered = asyncio.Event()
    leave = asyncio.Event()

    async def first() -> None:
        async with store.refs.cache_mount("id", None, Sharing.LOCKED) as ref:
            order.append(f"first {ref.id}")
            entered.set()
            await leave.wait()
            order.append("first leaves")

    async def second() -> None:
        await entered.wait()
        leave.set()
        async with store.refs.cache_mount("id", None, Sharing.LOCKED) as ref:
            order.append(f"second {ref.id}")

    async with asyncio.TaskGroup() as group:
        group.create_task(first())
        group.create_task(second())
    id = order[0].removeprefix("first ")
    assert order == [f"first {id}", "first leaves", f"second {id}"]


async def test_a_cancelled_wait_leaves_the_cache_mount_usable(store: Store) -> None:
    async with store.refs.cache_mount("id", None, Sharing.LOCKED) as held:
        wait = store.refs.cache_mount("id", None, Sharing.LOCKED)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(wait.__aenter__(), 0.01)
    async with store.refs.cache_mount("id", None, Sharing.LOCKED) as again:
        assert again.id == held.id


async def test_cache_mounts_keep_their_content(opener: Opener) -> None:
    async with opener() as store:
        base = await make_ref(store.refs, None, {"base": "b"})
        async with store.refs.cache_mount("id", base, Sharing.SHARED) as ref:
            (mount,) = await ref.mounts(readonly=False)
            assert mount.type == "bind"
            async with ref.mounted(readonly=False) as root:
                assert str(root) == mount.source
                assert read_tree(root) == {"base": "b"}
                write_tree(root, {"kept": "1"})
        await base.release()
    async with opener() as store:
        base = await store.refs.get(base.id)
        async with (
            store.refs.cache_mount("id", base, Sharing.SHARED) as ref,
            ref.mounted(readonly=False) as root,
        ):
            assert read_tree(root) == {"base": "b", "kept": "1"}
        await base.release()


async def test_a_layer_that_comes_twice_has_the_last_word(store: Store) -> None:
    base = await make_ref(store.refs, None, {"a": "base", "b": "base"})
    child = await make_ref(store.refs, base, {"a": "child"}, "b")
    merged = await store.refs.merge([child, base])
    assert await tree_of(merged) == {"a": "base", "b": "base"}
    again = await store.refs.merge([base, child])
    assert await tree_of(again) == {"a": "child"}
    on_top = await make_ref(store.refs, again, {"c": "1"})
    assert await tree_of(on_top) == {"a": "child", "c": "1"}
    for ref in (base, child, merged, again, on_top):
        await ref.release()
