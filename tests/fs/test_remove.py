"""Removal: all of a tree, however deep, and nothing of what is mounted in it."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from croze.fs import mount, root
from croze.fs.remove import remove_tree, try_remove_tree
from tests.fs import trees


def test_a_tree(tmp_path: Path) -> None:
    top = trees.make(tmp_path / "r", {"d/e/f": "1", "d/l": ("->", "../keep"), "keep/k": "1"})
    remove_tree(top / "d")
    remove_tree(top / "d")
    remove_tree(top / "no/such")
    assert trees.read(top) == {"keep": None, "keep/k": "1"}
    (top / "link").symlink_to("keep")
    remove_tree(top / "link")
    remove_tree(top / "keep/k")
    assert trees.read(top) == {"keep": None}


def test_a_tree_deeper_than_a_path_can_be(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d" * 50, dir_fd=fd)
        below = os.open("d" * 50, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(os.open("f", os.O_CREAT | os.O_WRONLY, dir_fd=fd))
    os.close(fd)
    remove_tree(tmp_path / ("d" * 50))
    assert not list(tmp_path.iterdir())


def test_a_directory_that_moved_away_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The way up would lead to where another has moved it."""
    top = trees.make(tmp_path, {"a/b/c": "1", "a/x": "1", "other/keep": "1"})
    real = os.listdir

    def listdir(fd: int) -> list[str]:
        found = real(fd)
        if found == ["c"]:
            os.rename(top / "a/b", top / "other/b")
        return found

    monkeypatch.setattr(os, "listdir", listdir)
    with pytest.raises(OSError, match="moved while it was removed"):
        remove_tree(top / "a")
    assert (top / "other/keep").exists()


@pytest.fixture(params=["openat2", "mount ids"])
def mounted(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """A tree with binds of a directory and a file of the same file system."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    monkeypatch.setattr(root, "_have_openat2", request.param == "openat2")
    top = trees.make(tmp_path, {"r/a/dir/": None, "r/a/file": "", "r/z": "1", "keep/k": "1"})
    (top / "r/a/dir").mkdir(parents=True, exist_ok=True)
    mount.raw_mount(str(top / "keep"), top / "r/a/dir", "", mount.MS_BIND)
    mount.raw_mount(str(top / "keep/k"), top / "r/a/file", "", mount.MS_BIND)
    yield top
    mount.unmount(top / "r/a/dir")
    mount.unmount(top / "r/a/file")


@pytest.mark.root
def test_mounts_are_not_crossed(mounted: Path) -> None:
    with pytest.raises(OSError) as caught:
        remove_tree(mounted / "r")
    assert caught.value.errno in (errno.EXDEV, errno.EBUSY)
    assert (mounted / "keep/k").read_text() == "1"
    assert sorted(p.name for p in (mounted / "r").rglob("*")) == ["a", "dir", "file", "k"]
    with pytest.raises(OSError, match="cross-device"):
        remove_tree(mounted / "r/a/dir")
    try_remove_tree(mounted / "r")
    assert (mounted / "keep/k").read_text() == "1"
