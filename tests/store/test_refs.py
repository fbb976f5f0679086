"""Refs: made, found, committed, retained, shared and gone."""

from __future__ import annotations

import os
import sqlite3

import pytest

from croze.errors import AlreadyExists, ResourceExhausted
from croze.fs.content.checksum import Query, checksum
from croze.store.contract import PrunePolicy, RefStore, Sharing
from croze.store.db import Database
from croze.store.open import Store
from tests.conformance.ref_stores import RefStoreSuite
from tests.store.conftest import Opener
from tests.store.trees import make_ref, read_tree, tree_of, write_tree
from tests.support.work import told_statements


class TestRefs(RefStoreSuite):
    """On each snapshotter."""

    @pytest.fixture
    def refs(self, store: Store) -> RefStore:
        return store.refs


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


async def test_what_is_being_written_is_written_down_once(opener: Opener) -> None:
    """When it is committed, or is to be kept: until then nobody needs to find it."""
    with told_statements() as told:
        async with opener() as store:
            base = await make_ref(store.refs, None, {"a": "1"})
            for retain in (False, True):
                told.clear()
                ref = await store.refs.new(base)
                async with ref.mounted(readonly=False) as root:
                    write_tree(root, {"b": "2"})
                ref.set_meta(color="red")
                assert not told
                committed = await ref.commit(retain=retain)
                assert told.count("COMMIT") == 1
                await committed.release()
            told.clear()
            await (await store.refs.new(base)).release()
            assert not told
            await base.release()


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


async def test_what_is_built_on_is_given_up_at_once_or_not_at_all(opener: Opener) -> None:
    """A kept directory becomes a layer. Where the disk is full it stays what it was."""
    with told_statements() as told:
        async with opener() as store:
            ref = await store.refs.new(None, record_type="source.local")
            view = await ref.commit(retain=True)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(Database, "write_many", full)
                with pytest.raises(ResourceExhausted):
                    await store.refs.new(view)
            await view.release()
            again = await store.refs.get_mutable(ref.id)
            async with again.mounted(readonly=False) as root:
                write_tree(root, {"a": "1"})
            view = await again.commit(retain=True)
            told.clear()
            child = await store.refs.new(view)
            assert told.count("COMMIT") == 1
            assert not store.refs.exists(ref.id)
            for each in (child, view):
                await each.release()


def full(*args: object) -> None:
    raise sqlite3.OperationalError("database or disk is full")


async def test_nothing_is_known_of_how_what_is_gone_was_used(opener: Opener) -> None:
    async with opener() as store, store.refs.cache_mount("id", None, Sharing.SHARED):
        pass
    async with opener() as store:
        assert len(store.db.read("SELECT * FROM usage")) == 1
        await store.refs.forget_cache_mounts({"id"})
        assert store.db.read("SELECT * FROM usage") == []


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
