"""The snapshotters against their contract."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from croze.store.db import Database
from croze.store.disk import Ballast
from croze.store.snapshots.native import NativeSnapshotter
from croze.store.snapshots.overlay import OverlaySnapshotter, probe
from croze.store.snapshots.settled import Eras
from croze.store.snapshots.table import SnapshotTable
from croze.store.trash import Trash
from tests.conformance.snapshotters import SnapshotterSuite, at
from tests.store.conftest import root_only
from tests.store.pools import ThreadPool

pytestmark = [pytest.mark.root, root_only]


@pytest.fixture
def table(tmp_path: Path) -> Iterator[SnapshotTable]:
    trash = Trash(tmp_path)
    db = Database(tmp_path / "db", Ballast(tmp_path))
    yield SnapshotTable(tmp_path, db, trash, Eras(db, tmp_path))
    trash.close()
    db.close()


class TestOverlay(SnapshotterSuite):
    @pytest.fixture(params=["", ",volatile"])
    def snapshotter(
        self, request: pytest.FixtureRequest, table: SnapshotTable
    ) -> OverlaySnapshotter:
        options = probe(table.dir)
        assert options is not None
        wanted = [o for o in options if o != "volatile" or request.param]
        return OverlaySnapshotter(table, ThreadPool(), wanted)

    async def test_layers_stack_in_any_order(self, snapshotter: OverlaySnapshotter) -> None:
        for key in ("a", "b", "c"):
            await snapshotter.prepare(key, None)
            with at(snapshotter, key) as root:
                (root / key).touch()
                (root / "last").write_text(key)
            snapshotter.commit(key)
        await snapshotter.stack("stack", ["c", "a", "b"])
        with at(snapshotter, "stack") as root:
            assert sorted(p.name for p in root.iterdir()) == ["a", "b", "c", "last"]
            assert (root / "last").read_text() == "b"
        assert snapshotter.upper("stack") is None

    async def test_a_layer_is_put_on_others_at_commit(
        self, snapshotter: OverlaySnapshotter
    ) -> None:
        await snapshotter.prepare("a", None)
        await snapshotter.prepare("b", None)
        for key in ("a", "b"):
            with at(snapshotter, key) as root:
                (root / key).touch()
        snapshotter.commit("a")
        snapshotter.commit("b", rebase="a")
        with at(snapshotter, "b") as root:
            assert sorted(p.name for p in root.iterdir()) == ["a", "b"]

    async def test_new_directories_are_not_opaque(self, snapshotter: OverlaySnapshotter) -> None:
        await snapshotter.prepare("a", None)
        snapshotter.commit("a")
        await snapshotter.prepare("b", "a")
        with at(snapshotter, "b") as root:
            (root / "d").mkdir()
        upper = snapshotter.upper("b")
        assert upper is not None
        assert "trusted.overlay.opaque" not in os.listxattr(upper / "d")


class TestNative(SnapshotterSuite):
    @pytest.fixture
    def snapshotter(self, table: SnapshotTable) -> NativeSnapshotter:
        return NativeSnapshotter(table, ThreadPool())

    async def test_copies_keep_everything(self, snapshotter: NativeSnapshotter) -> None:
        await snapshotter.prepare("a", None)
        with at(snapshotter, "a") as root:
            (root / "f").write_text("1")
            os.link(root / "f", root / "hard")
            os.symlink("f", root / "soft")
            os.mkfifo(root / "fifo")
            os.setxattr(root / "f", "user.x", b"y")
            os.chown(root / "f", 7, 8)
            (root / "f").chmod(0o4750)
            os.utime(root / "f", ns=(5, 1_000_000_007))
        snapshotter.commit("a")
        await snapshotter.prepare("b", "a")
        with at(snapshotter, "b") as root:
            stat = (root / "f").stat()
            assert (stat.st_uid, stat.st_gid, stat.st_mode & 0o7777) == (7, 8, 0o4750)
            assert stat.st_mtime_ns == 1_000_000_007
            assert stat.st_nlink == 2
            assert os.path.samefile(root / "f", root / "hard")
            assert os.readlink(root / "soft") == "f"
            assert (root / "fifo").is_fifo()
            assert os.getxattr(root / "f", "user.x") == b"y"
