"""Telling a container's process from one that was given its pid later."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from croze.runtime.host_helper import init_pid
from tests.store.conftest import root_only

pytestmark = [pytest.mark.root, root_only]


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    """Of a process that is the first of its own pid namespace, with no cgroup of its own."""
    words = ["unshare", "--pid", "--fork", "--kill-child", "sh", "-c", "echo; read x"]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdin=pipe, stdout=pipe) as outer:
        assert outer.stdout is not None
        outer.stdout.readline()
        children = Path(f"/proc/{outer.pid}/task/{outer.pid}/children")
        made = tmp_path / "victim"
        made.write_text(children.read_text().strip())
        yield made
        outer.communicate(b"\n")


def test_the_pid_file_is_younger_than_the_process(file: Path) -> None:
    assert init_pid(str(file)) == int(file.read_text())
    os.utime(file, (1, 1))
    assert init_pid(str(file)) == 0


def test_a_process_that_is_no_containers(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text(str(os.getpid()))
    assert init_pid(str(tmp_path / "victim")) == 0
