"""mkdir, mkfile, symlink, rm, and modes in words."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from croze.errors import CrozeError, InvalidRequest, NotFound
from croze.fs.copy.modes import parse_mode
from croze.fs.owner import ExecUser, NumericOwner, file_owner, lookup
from croze.fs.tree.edit import mkdir, mkfile, rm, symlink
from croze.fs.tree.usage import usage
from tests.fs import trees


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_mkdir(tmp_path: Path) -> None:
    root = str(tmp_path)
    mkdir(root, "/a/b", 0o750, make_parents=True, timestamp_ns=10**18)
    assert mode_of(tmp_path / "a") == mode_of(tmp_path / "a/b") == 0o750
    assert (tmp_path / "a/b").stat().st_mtime_ns == 10**18
    mkdir(root, "/a/b", 0o700)
    assert mode_of(tmp_path / "a/b") == 0o750
    with pytest.raises(NotFound) as caught:
        mkdir(root, "/x/y")
    assert str(caught.value) == "mkdir /x/y: no such file or directory"
    (tmp_path / "f").write_text("")
    with pytest.raises(CrozeError, match="mkdir /f/g: not a directory"):
        mkdir(root, "/f/g", make_parents=True)


def test_mkdir_through_links_stays_inside(tmp_path: Path) -> None:
    trees.make(tmp_path / "r", {"l": ("->", "/etc/passwd.d"), "m": ("->", "../../x")})
    mkdir(str(tmp_path / "r"), "/l/sub", make_parents=True)
    mkdir(str(tmp_path / "r"), "/m/sub", make_parents=True)
    assert (tmp_path / "r/etc/passwd.d/sub").is_dir()
    assert (tmp_path / "r/x/sub").is_dir()


def test_mkfile(tmp_path: Path) -> None:
    root = str(tmp_path)
    mkfile(root, "f", b"one", 0o640)
    os.link(tmp_path / "f", tmp_path / "other")
    mkfile(root, "/f", b"two", 0o777)
    assert ((tmp_path / "f").read_bytes(), mode_of(tmp_path / "f")) == (b"two", 0o640)
    assert (tmp_path / "other").read_bytes() == b"one"
    with pytest.raises(CrozeError, match="open: is a directory"):
        mkfile(root, "/", b"")
    with pytest.raises(NotFound, match="open /no/f: no such file"):
        mkfile(root, "/no/f", b"")


def test_symlink(tmp_path: Path) -> None:
    symlink(str(tmp_path), "../anything", "/l", timestamp_ns=10**18)
    assert os.readlink(tmp_path / "l") == "../anything"
    assert (tmp_path / "l").lstat().st_mtime_ns == 10**18


def test_rm(tmp_path: Path) -> None:
    root = trees.make(
        tmp_path / "r", {"d/a": "", "d/b.txt": "", "d/c.txt": "", "l": ("->", "d"), "e/f/g": ""}
    )
    rm(str(root), "/d/*.txt", allow_wildcard=True)
    assert "d/a" in trees.read(root)
    assert "d/b.txt" not in trees.read(root)
    rm(str(root), "/l")
    rm(str(root), "/e")
    assert sorted(trees.read(root)) == ["d", "d/a"]
    with pytest.raises(NotFound) as caught:
        rm(str(root), "/nope")
    assert str(caught.value) == "stat /nope: no such file or directory"
    rm(str(root), "/nope", allow_not_found=True)
    rm(str(root), "/no*", allow_wildcard=True)
    trees.make(root, {"e/kept": "", "le": ("->", "e")})
    rm(str(root), "/le/*", allow_wildcard=True)
    assert "e/kept" in trees.read(root)
    with pytest.raises(InvalidRequest, match="invalid empty path"):
        rm(str(root), "/d/..")


@pytest.mark.parametrize(
    ("text", "before", "after"),
    [
        ("755", 0o100000, 0o100755),
        ("0644", 0o104777, 0o100644),
        ("u=rwX,go=rX", 0o100600, 0o100644),
        ("u=rwX,go=rX", 0o040700, 0o040755),
        ("u=rwX,go=rX", 0o100700, 0o100755),
        ("go-w", 0o100666, 0o100644),
        ("a+x", 0o100644, 0o100755),
        ("+x", 0o100644, 0o100755),
        ("=rw,+X", 0o100755, 0o100777),
        ("u=rwx,go=u-w", 0o100000, 0o100755),
        ("go=", 0o100777, 0o100700),
        ("u+s", 0o100755, 0o104755),
        ("g+s", 0o100755, 0o102755),
        ("+t", 0o040755, 0o041755),
        ("o+s", 0o100755, 0o100755),
        ("g=u", 0o100740, 0o100770),
        ("u+r-w", 0o100200, 0o100400),
    ],
)
def test_modes(text: str, before: int, after: int) -> None:
    assert oct(parse_mode(text)(before)) == oct(after)


@pytest.mark.parametrize("text", ["", "8", "17777", "u", "u+q", "u=rw,", "x", "1_0"])
def test_bad_modes(text: str) -> None:
    with pytest.raises(InvalidRequest, match="invalid syntax"):
        parse_mode(text)


PASSWD = "root:x:0:0:root:/root:/bin/sh\n\napp:x:100:101:App:/srv:/bin/sh\nnum:x:7:8::/n:/s\n"
GROUP = "root:x:0:\napps:x:101:app\nextra:x:55:other,app\nwheel:x:10:root\n"


@pytest.fixture
def users(tmp_path: Path) -> str:
    trees.make(tmp_path, {"etc/passwd": PASSWD, "etc/group": GROUP})
    return str(tmp_path)


@pytest.mark.parametrize(
    ("spec", "want"),
    [
        ("", ExecUser(0, 0, (10,), "/root")),
        ("root", ExecUser(0, 0, (10,), "/root")),
        ("app", ExecUser(100, 101, (101, 55), "/srv")),
        ("app:wheel", ExecUser(100, 10, (), "/srv")),
        ("100", ExecUser(100, 101, (101, 55), "/srv")),
        ("app:77", ExecUser(100, 77, (), "/srv")),
        ("1234", ExecUser(1234, 0)),
        ("5:6", ExecUser(5, 6)),
    ],
)
def test_lookup(users: str, spec: str, want: ExecUser) -> None:
    assert lookup(users, spec) == want


def test_unknown_users(users: str, tmp_path: Path) -> None:
    with pytest.raises(
        InvalidRequest, match=r"^unable to find user nobody: no matching entries in passwd file$"
    ):
        lookup(users, "nobody")
    with pytest.raises(
        InvalidRequest, match=r"^unable to find group x: no matching entries in group file$"
    ):
        lookup(users, "app:x")
    with pytest.raises(InvalidRequest, match="must be in range"):
        lookup(users, "99999999999")
    assert lookup(str(tmp_path / "etc"), "") == ExecUser()


def test_file_owner(users: str) -> None:
    assert file_owner("app", users, None, None) == NumericOwner(100, 101)
    assert file_owner("app", users, "extra", users) == NumericOwner(100, 55)
    assert file_owner(5, None, None, None) == NumericOwner(5, 5)
    assert file_owner(5, None, 6, None) == NumericOwner(5, 6)
    assert file_owner("nobody", users, None, None) == NumericOwner(0, 0)
    with pytest.raises(InvalidRequest, match="invalid missing user mount"):
        file_owner("app", None, None, None)


def test_usage_counts_links_once(tmp_path: Path) -> None:
    trees.make(tmp_path / "r", {"a": "x" * 8192, "d/b": "y" * 8192})
    before = usage(str(tmp_path / "r"))
    os.link(tmp_path / "r/a", tmp_path / "r/c")
    assert usage(str(tmp_path / "r")) == before
    assert before.inodes == 4
    assert before.size_bytes >= 16384
    assert usage(str(tmp_path / "none")).inodes == 0
