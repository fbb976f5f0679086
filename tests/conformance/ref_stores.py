"""What every `RefStore` must do. Subclass with a `refs` fixture, which looks whether anything is
left behind."""

from __future__ import annotations

import asyncio

import pytest

from croze.errors import AlreadyExists, InvalidRequest, NotFound
from croze.store.contract import RefStore, Sharing
from tests.store.trees import make_ref, names_of, tree_of, write_tree


class RefStoreSuite:
    """The contract as tests."""

    async def test_children_see_their_parents(self, refs: RefStore) -> None:
        base = await make_ref(refs, None, {"a": "1", "d/b": "2"})
        child = await make_ref(refs, base, {"d/c": "3", "a": "4"}, "d/b")
        assert await tree_of(base) == {"a": "1", "d/b": "2"}
        assert await tree_of(child) == {"a": "4", "d/c": "3"}
        assert child.parent_ids == (base.id,)
        await base.release()
        await child.release()

    async def test_released_mutable_ref_is_gone(self, refs: RefStore) -> None:
        ref = await refs.new(None)
        await ref.release()
        assert not refs.exists(ref.id)
        with pytest.raises(NotFound):
            await refs.get(ref.id)

    async def test_unknown_ids(self, refs: RefStore) -> None:
        with pytest.raises(NotFound):
            await refs.get("nope")
        with pytest.raises(NotFound):
            await refs.get_mutable("nope")

    async def test_what_was_retained_is_there_until_it_is_written_again(
        self, refs: RefStore
    ) -> None:
        ref = await refs.new(None)
        assert refs.get_retained(ref.id) is None
        assert refs.get_retained("nope") is None
        first = await ref.commit(retain=True)
        second = refs.get_retained(ref.id)
        assert second is not None
        assert second.id == first.id
        assert refs.get_retained(first.id) is None
        await first.release()
        with pytest.raises(AlreadyExists):
            await refs.get_mutable(ref.id)
        await second.release()
        again = await refs.get_mutable(ref.id)
        assert refs.get_retained(ref.id) is None
        await again.release()
        assert refs.get_retained(ref.id) is None

    async def test_immutable_refs_can_not_be_written(self, refs: RefStore) -> None:
        base = await make_ref(refs, None, {"a": "1"})
        with pytest.raises(InvalidRequest):
            base.mounted(readonly=False)
        mounts = await base.mounts(readonly=False)
        assert mounts
        assert all("ro" in mount.options for mount in mounts)
        await base.release()
        with pytest.raises(InvalidRequest):
            await base.mounts(readonly=True)

    async def test_users_share_one_mount(self, refs: RefStore) -> None:
        base = await make_ref(refs, None, {"a": "1"})
        child = await make_ref(refs, base, {"b": "2"})
        async with child.mounted(readonly=True) as one, child.mounted(readonly=True) as two:
            assert one == two
        async with base.mounted(readonly=True) as path:
            assert "snapshots" in path.parts
        await base.release()
        await child.release()

    async def test_building_on_a_retained_ref_makes_it_stand_alone(self, refs: RefStore) -> None:
        ref = await refs.new(None)
        async with ref.mounted(readonly=False) as root:
            write_tree(root, {"a": "1"})
        ref.side_file("index").write_text("one")
        view = await ref.commit(retain=True)
        child = await make_ref(refs, view, {"b": "2"})
        assert not refs.exists(ref.id)
        assert view.side_file("index").read_text() == "one"
        assert await tree_of(view) == {"a": "1"}
        assert await tree_of(child) == {"a": "1", "b": "2"}
        await view.release()
        await child.release()

    async def test_merge_puts_layers_on_top_of_each_other(self, refs: RefStore) -> None:
        a = await make_ref(refs, None, {"a": "1", "x": "a"})
        b = await make_ref(refs, None, {"b": "2", "x": "b"})
        c = await make_ref(refs, b, {"c": "3"}, "b")
        merged = await refs.merge([a, c])
        assert await tree_of(merged) == {"a": "1", "x": "b", "c": "3"}
        assert await names_of(merged) == ["a", "c", "x"]
        on_top = await make_ref(refs, merged, {"d": "4"}, "a")
        assert await tree_of(on_top) == {"x": "b", "c": "3", "d": "4"}
        for ref in (a, b, c, merged, on_top):
            await ref.release()

    async def test_merge_of_one_is_itself(self, refs: RefStore) -> None:
        a = await make_ref(refs, None, {"a": "1"})
        merged = await refs.merge([a])
        assert merged.id == a.id
        await a.release()
        await merged.release()
        with pytest.raises(InvalidRequest):
            await refs.merge([])

    async def test_a_replaced_directory_hides_only_what_it_replaced(self, refs: RefStore) -> None:
        base = await make_ref(refs, None, {"d/old": "1", "d/sub/old": "2"})
        upper = await make_ref(refs, base, {"d/new": "3"}, "d")
        assert await tree_of(upper) == {"d/new": "3"}
        changes = await refs.diff(base, upper)
        assert await tree_of(changes) == {"d/new": "3"}
        other = await make_ref(refs, None, {"d/other": "4", "d/old": "5", "d/sub/old": "6"})
        merged = await refs.merge([other, changes])
        assert await tree_of(merged) == {"d/other": "4", "d/new": "3"}
        for ref in (base, upper, changes, other, merged):
            await ref.release()

    async def test_diff_of_an_ancestor_is_its_own_layers(self, refs: RefStore) -> None:
        base = await make_ref(refs, None, {"a": "1", "gone": "x", "deep/gone": "y"})
        one = await make_ref(refs, base, {"b": "2"}, "gone", "deep/gone")
        two = await make_ref(refs, one, {"c": "3"})
        changes = await refs.diff(base, two)
        assert await tree_of(changes) == {"b": "2", "c": "3"}
        assert "deep/gone" not in await names_of(changes)
        assert "gone" not in await names_of(changes)
        other = await make_ref(refs, None, {"gone": "z", "keep": "k"})
        merged = await refs.merge([other, changes])
        assert await tree_of(merged) == {"b": "2", "c": "3", "keep": "k"}
        assert not any("gone" in n for n in await names_of(merged))
        for ref in (base, one, two, changes, other, merged):
            await ref.release()

    async def test_diff_of_strangers_is_computed(self, refs: RefStore) -> None:
        left = await make_ref(refs, None, {"same": "1", "old": "2", "deep/old": "4"})
        right = await make_ref(refs, None, {"same2": "1", "new": "3"})
        changes = await refs.diff(left, right)
        assert await tree_of(changes) == {"same2": "1", "new": "3"}
        other = await make_ref(refs, None, {"old": "kept?", "mine": "5"})
        merged = await refs.merge([other, changes])
        assert await tree_of(merged) == {"same2": "1", "new": "3", "mine": "5"}
        for ref in (left, right, changes, other, merged):
            await ref.release()

    async def test_diff_with_nothing(self, refs: RefStore) -> None:
        ref = await make_ref(refs, None, {"a": "1"})
        same = await refs.diff(None, ref)
        assert same.id == ref.id
        nothing = await refs.diff(ref, ref)
        assert await tree_of(nothing) == {}
        removed = await refs.diff(ref, None)
        merged = await refs.merge([ref, removed])
        assert await tree_of(merged) == {}
        for each in (ref, same, nothing, removed, merged):
            await each.release()

    async def test_shared_cache_mounts_are_one(self, refs: RefStore) -> None:
        async with (
            refs.cache_mount("id", None, Sharing.SHARED) as one,
            refs.cache_mount("id", None, Sharing.SHARED) as two,
            refs.cache_mount("other", None, Sharing.SHARED) as three,
        ):
            assert one.id == two.id != three.id
            assert await one.mounts(readonly=False) == await two.mounts(readonly=False)
        async with refs.cache_mount("id", None, Sharing.SHARED) as again:
            assert again.id == one.id

    async def test_forgotten_cache_mounts_start_anew(self, refs: RefStore) -> None:
        base = await make_ref(refs, None, {"base": "1"})
        async with refs.cache_mount("id", None, Sharing.LOCKED) as busy:
            async with (
                refs.cache_mount("id", base, Sharing.LOCKED) as on_base,
                refs.cache_mount("other", None, Sharing.LOCKED) as other,
            ):
                ids = on_base.id, other.id
            await refs.forget_cache_mounts({"id"})
            assert refs.exists(busy.id)
            async with refs.cache_mount("id", None, Sharing.LOCKED) as fresh:
                assert fresh.id != busy.id
            async with (
                refs.cache_mount("id", base, Sharing.LOCKED) as on_base,
                refs.cache_mount("other", None, Sharing.LOCKED) as other,
            ):
                assert on_base.id != ids[0]
                assert other.id == ids[1]
        assert not refs.exists(busy.id)
        await base.release()

    async def test_private_cache_mounts_are_apart(self, refs: RefStore) -> None:
        async with refs.cache_mount("id", None, Sharing.PRIVATE) as one:
            async with refs.cache_mount("id", None, Sharing.PRIVATE) as two:
                assert one.id != two.id
            async with refs.cache_mount("id", None, Sharing.PRIVATE) as three:
                assert three.id == two.id

    async def test_locked_cache_mounts_wait(self, refs: RefStore) -> None:
        order: list[str] = []
        entered = asyncio.Event()
        leave = asyncio.Event()

        async def first() -> None:
            async with refs.cache_mount("id", None, Sharing.LOCKED) as ref:
                order.append(f"first {ref.id}")
                entered.set()
                await leave.wait()
                order.append("first leaves")

        async def second() -> None:
            await entered.wait()
            leave.set()
            async with refs.cache_mount("id", None, Sharing.LOCKED) as ref:
                order.append(f"second {ref.id}")

        async with asyncio.TaskGroup() as group:
            group.create_task(first())
            group.create_task(second())
        id = order[0].removeprefix("first ")
        assert order == [f"first {id}", "first leaves", f"second {id}"]

    async def test_a_cancelled_wait_leaves_the_cache_mount_usable(self, refs: RefStore) -> None:
        async with refs.cache_mount("id", None, Sharing.LOCKED) as held:
            wait = refs.cache_mount("id", None, Sharing.LOCKED)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(wait.__aenter__(), 0.01)
        async with refs.cache_mount("id", None, Sharing.LOCKED) as again:
            assert again.id == held.id

    async def test_a_layer_that_comes_twice_has_the_last_word(self, refs: RefStore) -> None:
        base = await make_ref(refs, None, {"a": "base", "b": "base"})
        child = await make_ref(refs, base, {"a": "child"}, "b")
        merged = await refs.merge([child, base])
        assert await tree_of(merged) == {"a": "base", "b": "base"}
        again = await refs.merge([base, child])
        assert await tree_of(again) == {"a": "child"}
        on_top = await make_ref(refs, again, {"c": "1"})
        assert await tree_of(on_top) == {"a": "child", "c": "1"}
        for ref in (base, child, merged, again, on_top):
            await ref.release()
