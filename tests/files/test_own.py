"""Per-user directories and locks: what is somebody else's is not taken."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from croze.errors import PermissionDenied
from croze.files.locks import locked, open_lock
from croze.files.own import is_own_dir, own_dir, unmoved_place

SOMEBODY = 4321

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="needs root: gives files to another user")


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.fixture(autouse=True)
def _usual_umask() -> None:
    os.umask(0o022)


def test_made_for_its_user_alone(tmp_path: Path) -> None:
    path = tmp_path / "a/run"
    assert not is_own_dir(str(path))
    assert own_dir(str(path)) == str(path)
    assert mode_of(path) == 0o700
    assert is_own_dir(own_dir(str(path)))


def test_one_of_ours_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "run"
    path.mkdir(mode=0o755)
    assert not is_own_dir(str(path))
    own_dir(str(path))
    assert mode_of(path) == 0o700


def test_what_others_may_write_to_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run"
    path.mkdir()
    path.chmod(0o1777)
    (path / "somebodys").write_text("")
    with pytest.raises(PermissionDenied, match="can be written to by others"):
        own_dir(str(path))
    assert mode_of(path) == 0o1777


def test_a_fresh_file_system_is_closed(tmp_path: Path) -> None:
    """A tmpfs is everybody's when it is mounted; nobody has put anything there yet."""
    path = tmp_path / "run"
    path.mkdir()
    path.chmod(0o1777)
    own_dir(str(path))
    assert mode_of(path) == 0o700


def test_what_others_may_replace_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with pytest.raises(PermissionDenied, match="in which everybody can replace it"):
        own_dir(str(tmp_path / "deep/run"))
    tmp_path.chmod(0o1777)
    own_dir(str(tmp_path / "deep/run"))


@needs_root
def test_another_users_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run"
    path.mkdir(mode=0o700)
    os.chown(path, SOMEBODY, SOMEBODY)
    assert not is_own_dir(str(path))
    with pytest.raises(PermissionDenied, match=rf"belongs to another user \(uid {SOMEBODY}\)"):
        own_dir(str(path))


def test_links_and_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "file").write_text("")
    for name in ("link", "file"):
        assert not is_own_dir(str(tmp_path / name))
        with pytest.raises(PermissionDenied, match="can't be used"):
            own_dir(str(tmp_path / name))


def test_a_lock_touches_nothing(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "lock").symlink_to(victim)
    with pytest.raises(OSError, match="Too many levels"):
        open_lock(str(tmp_path / "lock"))
    with locked(str(victim)):
        assert victim.read_text() == "precious"
    assert victim.read_text() == "precious"


def test_a_lock_is_a_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(PermissionError, match="no regular file"):
        open_lock(str(tmp_path / "pipe"))
    with locked(str(tmp_path / "new")):
        assert mode_of(tmp_path / "new") == 0o600


def test_places_in_which_nobody_else_renames(tmp_path: Path) -> None:
    place = tmp_path / "a/b"
    place.mkdir(parents=True)
    assert unmoved_place(str(place)) == str(place)
    (tmp_path / "link").symlink_to(place)
    assert unmoved_place(str(tmp_path / "link")) == str(place)
    for folder in (place, place.parent):
        folder.chmod(0o777)
        assert unmoved_place(str(place)) == ""
        folder.chmod(0o1777)
        assert unmoved_place(str(place)) == str(place)
    assert unmoved_place(str(place / "gone")) == ""
