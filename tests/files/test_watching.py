"""What stirs in directories, by the kernel's word."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from croze.files.watching import DirWatch


def rewritten(folder: Path) -> None:
    with open(folder / "a", "r+") as file:
        file.write("y")


def replaced(folder: Path) -> None:
    (folder / "b").write_text("y")
    os.replace(folder / "b", folder / "a")


@pytest.mark.parametrize(
    "change",
    [
        rewritten,
        replaced,
        lambda folder: (folder / "new").touch(),
        lambda folder: (folder / "a").unlink(),
        lambda folder: os.utime(folder / "a"),
        lambda folder: folder.rename(folder.parent / "moved"),
    ],
)
def test_what_stirs_is_told_once(tmp_path: Path, change: Callable[[Path], None]) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
        (folder / "a").write_text("x")
    watch = DirWatch(map(str, folders))
    try:
        (folders[0] / "a").read_text()
        assert not watch.stirred()
        change(folders[1])
        assert watch.stirred()
        assert not watch.stirred()
    finally:
        watch.close()


def test_what_can_not_be_watched(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    (tmp_path / "file").touch()
    for name in ("nowhere", "file"):
        with pytest.raises(OSError, match=r"No such file|Not a directory"):
            DirWatch([str(tmp_path), str(tmp_path / name)])
    assert len(os.listdir("/proc/self/fd")) == before


def test_what_changes_without_the_kernels_knowledge_is_not_watched() -> None:
    """As what other machines change does, which /proc stands for."""
    with pytest.raises(OSError, match="not supported"):
        DirWatch(["/proc/self"])
