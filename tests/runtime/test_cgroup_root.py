"""A cgroup of version 2 that has processes, as the daemon's own is in a container."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from croze.fs.mount import raw_mount, unmount
from croze.runtime.cgroup_root import VARIABLE, prepare


@pytest.fixture
def cgroup(tmp_path: Path) -> Iterator[Path]:
    """One of the kernel's, whichever version the machine's controllers are at."""
    tree = tmp_path / "tree"
    tree.mkdir()
    raw_mount("cgroup2", tree, "cgroup2", 0)
    own = tree / f"croze-test-{tmp_path.name}"
    try:
        own.mkdir()
        yield own
        for child in own.iterdir():
            if child.is_dir():
                child.rmdir()
        own.rmdir()
    finally:
        unmount(tree)


def test_members_make_room(cgroup: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as member:
        (cgroup / "cgroup.procs").write_text(str(member.pid))
        prepare({}, cgroup)
        prepare({VARIABLE: "0"}, cgroup)
        assert not (cgroup / "init").exists()
        for _ in range(2):
            prepare({VARIABLE: "1"}, cgroup)
            assert (cgroup / "init/cgroup.procs").read_text().split() == [str(member.pid)]
            assert (cgroup / "cgroup.procs").read_text() == ""
        controllers = (cgroup / "cgroup.controllers").read_text()
        assert (cgroup / "cgroup.subtree_control").read_text() == controllers
        member.kill()


def test_what_cannot_be_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpu memory\n")
    prepare({VARIABLE: "true"}, tmp_path)
    assert "failed to prepare cgroup controllers" in caplog.text


def test_the_first_version_has_no_such_rule(tmp_path: Path) -> None:
    (tmp_path / "memory").mkdir()
    prepare({VARIABLE: "true"}, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["memory"]
