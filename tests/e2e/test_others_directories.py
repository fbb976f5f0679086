"""Another user of the machine, in whose directory root has the result of a build."""

from __future__ import annotations

import contextlib
import os
import pwd
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from croze.fs.remove import remove_tree
from tests.e2e.sandbox import Sandbox

THIEF = """\
import ctypes, os, sys
os.chdir(sys.argv[1])
os.symlink(sys.argv[2], "link")
exchange = ctypes.CDLL(None).renameat2
print("ready", flush=True)
while True:
    exchange(-100, b"d", -100, b"link", 2)
"""
"""Exchanges a directory and a link that leads to root's own, over and over."""
FILES = 300


@contextlib.contextmanager
def exchanging(
    thief: pwd.struct_passwd, folder: Path, precious: Path, code: str = THIEF
) -> Iterator[None]:
    prefix = [f"--reuid={thief.pw_uid}", f"--regid={thief.pw_gid}", "--init-groups"]
    python = "/usr/bin/python3" if os.path.exists("/usr/bin/python3") else sys.executable
    words = ["setpriv", *prefix, python, "-c", code, str(folder), str(precious)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, cwd="/", text=True) as lurks:
        assert lurks.stdout is not None
        try:
            assert lurks.stdout.readline() == "ready\n"
            yield
        finally:
            lurks.kill()


@pytest.fixture
def folder(thief: pwd.struct_passwd) -> Iterator[Path]:
    """A directory of theirs, which root may write to, too."""
    path = Path(f"/tmp/croze-theirs-{os.getpid()}")
    path.mkdir(0o755)
    os.chown(path, thief.pw_uid, thief.pw_gid)
    yield path
    remove_tree(path)


@pytest.fixture
def precious(tmp_path: Path) -> Path:
    """A file of root's."""
    path = tmp_path / "precious"
    path.write_text("precious")
    return path


@pytest.mark.parametrize("mode", ["copy", "delete"])
def test_root_writes_nowhere_else(
    desk: Sandbox, thief: pwd.struct_passwd, folder: Path, mode: str
) -> None:
    """Whether the export fails or not: links that are put there meanwhile lead nowhere."""
    files = {f"d/{n % 10}/{n}": f"{n}" for n in range(FILES)}
    context = desk.context("many", {"Dockerfile": "FROM scratch\nCOPY d /d\n", **files})
    precious = desk.path / f"precious-{mode}"
    (precious / "0").mkdir(parents=True)
    (precious / "0/kept").write_text("precious")
    before = _seen(precious)
    output = f"--output=type=local,dest={folder},mode={mode}"
    words: list[str | Path] = [
        "build",
        "--progress=quiet",
        "--allow=buildx.local.delete",
        output,
        context,
    ]
    with exchanging(thief, folder, precious):
        for _ in range(2):
            done = desk.croze(*words, check=False)
            assert "Traceback" not in done.output
    assert _seen(precious) == before


OUTPUTS = (
    ("--output=type=tar,dest={}/x", "x"),
    ("--output=type=oci,dest={}/x", "x"),
    ("--output=type=oci,tar=false,dest={}", "oci-layout"),
    ("--iidfile={}/x", "x"),
    ("--metadata-file={}/x", "x"),
)


@pytest.mark.parametrize(("output", "name"), OUTPUTS)
def test_files_take_the_place_of_links(
    desk: Sandbox, thief: pwd.struct_passwd, folder: Path, precious: Path, output: str, name: str
) -> None:
    """Of such as lead to what is root's."""
    context = desk.context("one", {"Dockerfile": "FROM scratch\nCOPY Dockerfile /\n"})
    (folder / name).symlink_to(precious)
    os.chown(folder / name, thief.pw_uid, thief.pw_gid, follow_symlinks=False)
    desk.croze("build", "--progress=quiet", output.format(folder), context)
    assert (folder / name).is_file()
    assert not (folder / name).is_symlink()
    assert precious.read_text() == "precious"


LINKING = """\
import os, sys, time
os.chdir(sys.argv[1])
print("ready", flush=True)
while True:
    try:
        os.symlink(sys.argv[2], "x")
    except FileExistsError:
        time.sleep(0.001)
"""
"""Puts a link wherever there is nothing."""


@pytest.mark.parametrize("output", ["--iidfile={}/x", "--metadata-file={}/x"])
def test_links_that_come_during_the_build(
    desk: Sandbox, thief: pwd.struct_passwd, folder: Path, precious: Path, output: str
) -> None:
    context = desk.context("one", {"Dockerfile": "FROM scratch\nCOPY Dockerfile /\n"})
    with exchanging(thief, folder, precious, LINKING):
        desk.croze("build", "--progress=quiet", output.format(folder), context)
    assert not (folder / "x").is_symlink()
    assert precious.read_text() == "precious"


def _seen(folder: Path) -> list[object]:
    paths = [folder, *sorted(folder.rglob("*"))]
    return [(path, path.lstat().st_mode, path.lstat().st_ctime_ns) for path in paths]
