"""What is discarded is gone at once; directories stay where that keeps others away."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

import pytest

from croze.store import trash as module
from croze.store.trash import Trash


def _tree(path: Path) -> Path:
    (path / "a" / "b").mkdir(parents=True)
    for name in ("x", "a/x", "a/b/x"):
        (path / name).write_text("x")
    (path / "link").symlink_to("a")
    return path


def _left(root: Path) -> list[str]:
    """What is in the trash, without the names of what was discarded."""
    names = (path.relative_to(root / "trash") for path in (root / "trash").rglob("*"))
    return sorted("/".join(path.parts[1:]) for path in names)


async def test_a_tree_goes(tmp_path: Path, trash: Trash) -> None:
    tree = _tree(tmp_path / "tree")
    trash.discard(tree)
    assert not tree.exists()
    await trash.empty()
    assert _left(tmp_path) == []
    trash.discard(tree)


async def test_what_a_killed_daemon_of_the_same_pid_left_is_in_nobodys_way(
    tmp_path: Path, trash: Trash
) -> None:
    """As in a container, where each has the same."""
    _tree(tmp_path / "trash" / f"{os.getpid()}-0-tree")
    trash.discard(_tree(tmp_path / "tree"))
    assert not (tmp_path / "tree").exists()


async def test_emptied_directories_stay_for_a_while(
    tmp_path: Path, trash: Trash, monkeypatch: pytest.MonkeyPatch
) -> None:
    trash.discard(_tree(tmp_path / "tree"), keeps_place=True)
    await trash.empty()
    assert _left(tmp_path) == ["", "a", "a/b"]
    monkeypatch.setattr(module, "PLACE_KEPT_S", 0)
    await trash.empty()
    assert _left(tmp_path) == []


async def test_emptied_directories_are_not_too_many(tmp_path: Path) -> None:
    with contextlib.closing(Trash(tmp_path, most_directories=7)) as trash:
        for name in ("first", "second", "third"):
            trash.discard(_tree(tmp_path / name), keeps_place=True)
        await trash.empty()
        remaining = sorted(name.rpartition("-")[2] for name in os.listdir(tmp_path / "trash"))
    assert remaining == ["second", "third"]


async def test_none_stays_when_it_is_closed(tmp_path: Path, trash: Trash) -> None:
    trash.discard(_tree(tmp_path / "tree"), keeps_place=True)
    await trash.empty()
    assert _left(tmp_path) != []
    trash.close()
    assert _left(tmp_path) == []


async def test_what_a_killed_daemon_left_goes(tmp_path: Path, trash: Trash) -> None:
    _tree(tmp_path / "trash" / "1-0-tree")
    with contextlib.closing(Trash(tmp_path)) as again:
        await again.empty()
        assert _left(tmp_path) == []


async def test_a_disk_that_makes_trouble(
    tmp_path: Path, trash: Trash, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is discarded is gone all the same, and nobody is told."""

    def broken(old: str, new: str) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO), old)

    (tmp_path / "file").write_text("x")
    _tree(tmp_path / "tree")
    with monkeypatch.context() as patched:
        patched.setattr(os, "rename", broken)
        for name in ("file", "tree"):
            trash.discard(tmp_path / name)
    assert not (tmp_path / "file").exists()
    await trash.empty()
    assert not (tmp_path / "tree").exists()


async def test_a_disk_that_can_be_written_again(
    tmp_path: Path, trash: Trash, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What could not be removed goes with what comes after it."""

    def read_only(path: str, *rest: str) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)

    tree = _tree(tmp_path / "tree")
    with monkeypatch.context() as patched:
        patched.setattr(os, "rename", read_only)
        patched.setattr(module, "try_remove_tree", lambda path: None)
        trash.discard(tree)
        await trash.empty()
    assert tree.exists()
    await trash.empty()
    assert not tree.exists()


async def test_a_tree_that_could_not_be_emptied(
    tmp_path: Path, trash: Trash, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes with what comes after it as well."""

    def moved(path: str) -> int:
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), path)

    with monkeypatch.context() as patched:
        patched.setattr(module, "remove_files", moved)
        patched.setattr(module, "try_remove_tree", lambda path: None)
        trash.discard(_tree(tmp_path / "tree"), keeps_place=True)
        await trash.empty()
    assert "a/b/x" in _left(tmp_path)
    await trash.empty()
    assert _left(tmp_path) == []
