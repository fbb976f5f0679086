"""Disk usage, as `du` counts."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from croze.fs.remove import remove_tree
from croze.fs.tree.usage import TreeUsage, usage

NAME = "d" * 200


def test_it_is_what_du_says(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/f").write_bytes(bytes(100_000))
    os.link(tmp_path / "a/f", tmp_path / "a/b/g")
    (tmp_path / "a/l").symlink_to("/etc")
    said = subprocess.run(["du", "-sk", tmp_path], capture_output=True, check=True).stdout
    assert usage(str(tmp_path)).size_bytes == int(said.split()[0]) * 1024
    assert usage(str(tmp_path)).inodes == 5
    assert usage(str(tmp_path / "nothing")) == TreeUsage()


def test_trees_deeper_than_any_path(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    for _ in range(30):
        os.mkdir(NAME, dir_fd=fd)
        os.mkdir("e", dir_fd=fd)
        below = os.open(NAME, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)
    before = len(os.listdir("/proc/self/fd"))
    assert usage(str(tmp_path)).inodes == 61
    assert len(os.listdir("/proc/self/fd")) == before
    remove_tree(tmp_path / NAME)
