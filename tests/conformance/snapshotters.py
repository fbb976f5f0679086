"""What every `Snapshotter` must do. Subclass with a `snapshotter` fixture."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from croze.errors import AlreadyExists, InvalidRequest, NotFound
from croze.store.mount import mounted
from croze.store.snapshots.contract import Snapshotter


@contextmanager
def at(snapshotter: Snapshotter, key: str, readonly: bool = False) -> Iterator[Path]:
    with mounted(snapshotter.mounts(key, readonly=readonly)) as path:
        yield path


class SnapshotterSuite:
    """The contract as tests."""

    async def test_a_child_sees_and_changes_its_parent(self, snapshotter: Snapshotter) -> None:
        await snapshotter.prepare("base", None)
        with at(snapshotter, "base") as root:
            (root / "kept").write_text("1")
            (root / "gone").write_text("2")
        snapshotter.commit("base")
        await snapshotter.prepare("child", "base")
        with at(snapshotter, "child") as root:
            (root / "gone").unlink()
            (root / "new").write_text("3")
        snapshotter.commit("child")
        with at(snapshotter, "child") as root:
            assert sorted(p.name for p in root.iterdir()) == ["kept", "new"]
        with at(snapshotter, "base") as root:
            assert sorted(p.name for p in root.iterdir()) == ["gone", "kept"]

    async def test_the_root_keeps_its_mode_and_owner(self, snapshotter: Snapshotter) -> None:
        await snapshotter.prepare("base", None)
        with at(snapshotter, "base") as root:
            root.chmod(0o1777)
        snapshotter.commit("base")
        await snapshotter.prepare("child", "base")
        with at(snapshotter, "child") as root:
            assert root.stat().st_mode & 0o7777 == 0o1777

    async def test_committed_snapshots_are_given_out_read_only(
        self, snapshotter: Snapshotter
    ) -> None:
        await snapshotter.prepare("a", None)
        assert "rw" in snapshotter.mounts("a")[-1].options
        assert "ro" in snapshotter.mounts("a", readonly=True)[-1].options
        snapshotter.commit("a")
        snapshotter.commit("a")
        assert "ro" in snapshotter.mounts("a")[-1].options
        await snapshotter.prepare("b", "a")
        with at(snapshotter, "b") as root:
            (root / "x").touch()
        with at(snapshotter, "b", readonly=True) as root:
            assert (root / "x").exists()

    async def test_keys_are_unique_and_parents_committed(self, snapshotter: Snapshotter) -> None:
        await snapshotter.prepare("a", None)
        with pytest.raises(AlreadyExists):
            await snapshotter.prepare("a", None)
        with pytest.raises(InvalidRequest):
            await snapshotter.prepare("b", "a")
        with pytest.raises(NotFound):
            await snapshotter.prepare("b", "nope")
        with pytest.raises(NotFound):
            snapshotter.mounts("nope")
        assert list(snapshotter.keys()) == ["a"]

    async def test_removal(self, snapshotter: Snapshotter) -> None:
        await snapshotter.prepare("a", None)
        snapshotter.commit("a")
        await snapshotter.prepare("b", "a")
        with pytest.raises(InvalidRequest):
            await snapshotter.remove("a")
        await snapshotter.remove("b")
        await snapshotter.remove("a")
        await snapshotter.remove("a")
        assert list(snapshotter.keys()) == []

    async def test_usage_counts_a_layers_own_bytes(self, snapshotter: Snapshotter) -> None:
        await snapshotter.prepare("a", None)
        with at(snapshotter, "a") as root:
            (root / "x").write_bytes(bytes(range(256)) * 400)
            (root / "y").hardlink_to(root / "x")
        snapshotter.commit("a")
        assert 102_400 <= await snapshotter.usage("a") < 130_000

    async def test_the_upper_has_only_own_changes(self, snapshotter: Snapshotter) -> None:
        await snapshotter.prepare("a", None)
        with at(snapshotter, "a") as root:
            (root / "x").touch()
        snapshotter.commit("a")
        await snapshotter.prepare("b", "a")
        with at(snapshotter, "b") as root:
            (root / "x").unlink()
            (root / "y").touch()
        upper = snapshotter.upper("b")
        if upper is not None:
            assert sorted(p.name for p in upper.iterdir()) == ["x", "y"]
            assert (upper / "x").is_char_device()
