"""Mounting."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from croze.errors import CrozeError, PermissionDenied, Unsupported
from croze.fs.mount import MS_NOSUID, MS_RDONLY, raw_mount, unmount
from croze.store.contract import MountSpec
from croze.store.mount import mount, mount_all, mounted, readonly, split_options
from croze.store.overlay_mount import join_lowers, split_lowers
from tests.store.conftest import root_only

pytestmark = [pytest.mark.root, root_only]


def test_options_are_flags_or_data() -> None:
    assert split_options(["ro", "nosuid", "size=1m", "rw"]) == (MS_RDONLY | MS_NOSUID, ["size=1m"])


def test_lowers_with_odd_names() -> None:
    dirs = ["/a", "/b:c", "/d\\e"]
    assert split_lowers(join_lowers(dirs)) == dirs
    assert split_lowers("") == []


def test_a_read_only_bind(tmp_path: Path) -> None:
    source, target = tmp_path / "s", tmp_path / "t"
    source.mkdir()
    target.mkdir()
    mount(MountSpec("bind", str(source), ("rbind", "ro")), target)
    try:
        with pytest.raises(OSError, match="Read-only"):
            (target / "x").touch()
        (source / "x").touch()
        assert (target / "x").exists()
    finally:
        unmount(target)
    assert not os.path.ismount(target)
    unmount(target)


def test_a_tmpfs_at_a_path_of_its_own() -> None:
    with mounted([MountSpec("tmpfs", "tmpfs", ("size=1m", "nosuid"))]) as path:
        assert os.path.ismount(path)
        assert os.statvfs(path).f_blocks * os.statvfs(path).f_frsize == 1 << 20
    assert not path.exists()


def test_all_or_none(tmp_path: Path) -> None:
    target, missing = tmp_path / "target", str(tmp_path / "nope")
    target.mkdir()
    with pytest.raises(CrozeError, match="failed to mount"):
        mount_all([MountSpec("tmpfs", "tmpfs"), MountSpec("bind", missing, ("rbind",))], target)
    assert not os.path.ismount(target)


def test_unknown_filesystem(tmp_path: Path) -> None:
    with pytest.raises((Unsupported, PermissionDenied)):
        raw_mount("x", tmp_path, "nosuchfs", 0)


@pytest.mark.parametrize("name", ["plain", "with,comma", "with:colon", "with\\back"])
def test_overlays_in_odd_places(tmp_path: Path, name: str) -> None:
    base = tmp_path / name
    for part in ("lower", "upper", "work", "merged"):
        (base / part).mkdir(parents=True)
    (base / "lower" / "a").write_text("1")
    lowers = join_lowers([str(base / "lower")])
    options = (f"lowerdir={lowers}", f"upperdir={base}/upper", f"workdir={base}/work")
    overlay = MountSpec("overlay", "overlay", options)
    mount(overlay, base / "merged")
    try:
        (base / "merged" / "b").write_text("2")
    finally:
        unmount(base / "merged")
    assert (base / "upper" / "b").read_text() == "2"
    mount_all(readonly([overlay]), base / "merged")
    try:
        assert sorted(os.listdir(base / "merged")) == ["a", "b"]
        with pytest.raises(OSError, match="Read-only"):
            (base / "merged" / "c").touch()
    finally:
        unmount(base / "merged")


@pytest.mark.parametrize("count", [400, 500])
def test_as_many_layers_as_overlayfs_takes(tmp_path: Path, count: int) -> None:
    where = Path.cwd()
    with mounted([_layered(tmp_path, count)]) as path:
        assert len(os.listdir(path)) == count
    assert Path.cwd() == where


def test_more_layers_than_overlayfs_takes(tmp_path: Path) -> None:
    with (
        pytest.raises(Unsupported, match="too many layers for one overlay mount: 501"),
        mounted([_layered(tmp_path, 501)]),
    ):
        pass


def _layered(folder: Path, count: int) -> MountSpec:
    """Layers with names as long as a store's."""
    lowers = []
    for number in range(count):
        path = folder / str(10_000 + number) / "fs"
        path.mkdir(parents=True)
        (path / str(number)).touch()
        lowers.append(str(path))
    return MountSpec("overlay", "overlay", (f"lowerdir={join_lowers(lowers)}",))
