"""Temporary directories go with their process, however that ends, and nobody else's do."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from croze.fs import temporary
from croze.fs.temporary import HeldDirectory, sweep_temporary, temporary_directory

_HOLDER = """
import sys
from croze.fs.temporary import HeldDirectory
held = HeldDirectory("dial", sys.argv[1])
open(held.path + "/secret", "w").close()
print(held.path, flush=True)
sys.stdin.read()
"""


def killed_holder(parent: Path) -> Path:
    """What a process has left that was killed."""
    with subprocess.Popen(
        [sys.executable, "-c", _HOLDER, parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        path = Path(os.fsdecode(process.stdout.readline().strip()))
        process.send_signal(signal.SIGKILL)
    assert (path / "secret").exists()
    return path


def test_it_is_ours_alone_and_goes(tmp_path: Path) -> None:
    with temporary_directory("x", tmp_path) as path:
        assert os.stat(path).st_mode & 0o777 == 0o700
        Path(path, "sub").mkdir()
    assert not list(tmp_path.iterdir())


def test_what_a_killed_process_has_left_goes_with_the_next_one(tmp_path: Path) -> None:
    remains = killed_holder(tmp_path)
    with temporary_directory("other", tmp_path):
        assert not remains.exists()


def test_what_somebody_holds_stays(tmp_path: Path) -> None:
    held = HeldDirectory("x", tmp_path)
    sweep_temporary(tmp_path)
    assert Path(held.path).exists()
    held.close()
    held.close()
    assert not list(tmp_path.iterdir())


def test_a_process_that_lives_on_in_a_fork_holds_it(tmp_path: Path) -> None:
    """A child that was forked may still work in it."""
    held = HeldDirectory("x", tmp_path)
    ours = os.dup(held._fd)  # what a fork has
    os.close(held._fd)
    sweep_temporary(tmp_path)
    assert Path(held.path).exists()
    os.close(ours)
    sweep_temporary(tmp_path)
    assert not list(tmp_path.iterdir())


def test_only_directories_of_this_user_by_our_names_go(tmp_path: Path) -> None:
    """Whatever others put there, in the place of our names, too."""
    keep = tmp_path / "keep"
    keep.mkdir()
    (keep / "file").touch()
    (tmp_path / "croze-x-aaaaaaaa.held").symlink_to(keep)
    (tmp_path / "croze-x-bbbbbbbb.held").touch()
    for name in ("croze-dial-abcdefgh", "other-x-aaaaaaaa.held", "croze-x-AAAAAAAA.held.d"):
        (tmp_path / name).mkdir()
    theirs = tmp_path / "croze-x-cccccccc.held"
    theirs.mkdir()
    if os.geteuid() == 0:
        os.chown(theirs, 65534, 65534)
    else:
        theirs.rmdir()
    before = sorted(tmp_path.rglob("*"))
    sweep_temporary(tmp_path)
    assert sorted(tmp_path.rglob("*")) == before


def test_links_in_it_are_not_followed(tmp_path: Path) -> None:
    keep = tmp_path / "keep"
    keep.mkdir()
    (keep / "file").touch()
    remains = killed_holder(tmp_path)
    (remains / "link").symlink_to(keep)
    sweep_temporary(tmp_path)
    assert sorted(tmp_path.rglob("*")) == [keep, keep / "file"]


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount")
def test_what_is_mounted_in_the_place_of_one_stays(tmp_path: Path) -> None:
    """It is no directory of ours, whatever its name."""
    for name, source in (("tmpfs", ["-t", "tmpfs", "none"]), ("bound", ["--bind", tmp_path / "b"])):
        (tmp_path / "b").mkdir(exist_ok=True)
        place = tmp_path / f"croze-{name}-a.held"
        place.mkdir()
        mount = " ".join(map(str, ["mount", *source, place]))
        sweep = f"from croze.fs.temporary import sweep_temporary as s; s({str(tmp_path)!r})"
        script = f'{mount} && touch {place}/kept && "$0" -c "{sweep}"; ls {place}'
        done = subprocess.run(
            ["unshare", "-m", "sh", "-c", script, sys.executable],
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout == "kept\n", done.stderr
    sweep_temporary(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_one_that_is_swept_before_it_is_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = temporary._holds
    swept: list[str] = []

    def holds(fd: int, path: str) -> bool:
        if not swept:
            swept.append(path)
            sweep_temporary(tmp_path)
        return real(fd, path)

    monkeypatch.setattr(temporary, "_holds", holds)
    with temporary_directory("x", tmp_path) as path:
        assert [path] != swept
        assert Path(path).is_dir()


def test_where_there_are_no_locks_nothing_is_swept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(fd: int, operation: int) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    with temporary_directory("x", tmp_path) as path:
        sweep_temporary(tmp_path)
        assert Path(path).is_dir()
    assert not list(tmp_path.iterdir())


def test_a_place_that_is_not_there_is_no_error(tmp_path: Path) -> None:
    sweep_temporary(tmp_path / "none")


def test_where_there_is_no_place_for_them_nothing_was_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where all of a machine is one disk, and that is full."""

    def none() -> str:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found")

    monkeypatch.setattr(tempfile, "gettempdir", none)
    sweep_temporary()
    with pytest.raises(FileNotFoundError):
        HeldDirectory("x")
