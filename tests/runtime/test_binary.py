"""The sealed copy of the OCI runtime, and the early move to a cgroup."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from croze.runtime.binary import SealedCopy
from croze.runtime.cgroups import stir


def test_a_sealed_copy_runs_and_stays_as_it_is() -> None:
    copy = SealedCopy("/bin/busybox")
    assert copy.path != "/bin/busybox"
    words = ["busybox", "echo", "here"]
    done = subprocess.run(words, executable=copy.path, close_fds=False, stdout=subprocess.PIPE)
    assert done.stdout == b"here\n"
    with pytest.raises(PermissionError), open(copy.path, "r+b") as file:
        file.write(b"x")


def test_scripts_are_run_from_where_they_are(tmp_path: Path) -> None:
    script = tmp_path / "crun"
    script.write_text("#!/bin/sh\n")
    assert SealedCopy(str(script)).path == str(script)
    assert SealedCopy(str(tmp_path / "none")).path == str(tmp_path / "none")


def test_moves_to_its_own_cgroup(tmp_path: Path) -> None:
    line = Path("/proc/self/cgroup").read_text().splitlines()[0]
    _, controllers, path = line.split(":", 2)
    members = tmp_path / controllers.removeprefix("name=") / path.lstrip("/") / "cgroup.procs"
    members.parent.mkdir(parents=True)
    members.touch()
    stir(tmp_path)
    assert members.read_text() == "0"
    stir(tmp_path / "none")
