"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from croze.files.atomic import NewFile, appearing, open_in_place, replaced, write_atomically
from croze.fs.mount import unmount
from croze.store.contract import MountSpec
from croze.store.mount import mount
from tests.store.conftest import root_only


def fail(path: Path) -> None:
    with appearing(path) as file:
        file.write(b"other")
        raise ValueError("no")


def test_a_file_that_appears_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with appearing(path) as file:
        file.write(b"x")
        assert not path.exists()
    assert path.read_bytes() == b"x"
    with pytest.raises(ValueError, match="no"):
        fail(path)
    assert path.read_bytes() == b"x"
    assert list(tmp_path.iterdir()) == [path]
    with appearing(Path("/dev/null")) as file:
        file.write(b"x")
    assert not Path("/dev/null").is_file()


@pytest.mark.parametrize("is_nameless", [True, False])
def test_what_is_not_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_nameless: bool
) -> None:
    """Nobody can clean up after who is killed."""
    if not is_nameless:
        monkeypatch.setattr("os.O_TMPFILE", os.O_DIRECTORY)  # as where there are none
    for _ in range(2):
        new = NewFile(tmp_path / "file")
        os.write(new.fd, b"x")
        assert [p.name for p in tmp_path.iterdir() if p.name != "file"] == [] or not is_nameless
        new.take_place()
        assert [p.name for p in tmp_path.iterdir()] == ["file"]
    given_up = NewFile(tmp_path / "file")
    for _ in range(2):
        given_up.discard()
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"x"
    umask = os.umask(0o027)
    try:
        NewFile(tmp_path / "file").take_place()
    finally:
        os.umask(umask)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("is_nameless", [True, False])
def test_a_name_as_long_as_names_get(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_nameless: bool
) -> None:
    if not is_nameless:
        monkeypatch.setattr("os.O_TMPFILE", os.O_DIRECTORY)
    for name in ("n" * 255, "ü" * 127):
        path = tmp_path / name
        with appearing(path) as file:
            file.write(b"1")
        write_atomically(path, path.read_bytes() + b"2")
        assert path.read_bytes() == b"12"
        path.unlink()
    assert list(tmp_path.iterdir()) == []


def test_what_may_have_no_name_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not every file system that makes files without names gives them one; AppArmor refuses it."""
    path = tmp_path / "file"
    refusal = OSError(errno.EACCES, "Permission denied")

    def refuse(*args: object, **kwargs: object) -> None:
        raise refusal

    monkeypatch.setattr("os.link", refuse)
    with appearing(path) as file:
        file.write(b"x" * 3_000_000)
    assert path.read_bytes() == b"x" * 3_000_000
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask()
    refusal = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(OSError, match="No space left"), appearing(path) as file:
        file.write(b"y")
    assert path.read_bytes() == b"x" * 3_000_000
    assert list(tmp_path.iterdir()) == [path]


def umask() -> int:
    os.umask(mask := os.umask(0o022))
    return mask


@pytest.mark.root
@root_only
def test_a_file_that_is_mounted_is_written_through(tmp_path: Path) -> None:
    """As single files of the host are in containers."""
    host, path = tmp_path / "host", tmp_path / "out" / "file"
    path.parent.mkdir()
    for file in (host, path):
        file.write_bytes(b"old, and longer")
    mount(MountSpec("bind", str(host), ("bind",)), path)
    try:
        write_atomically(path, b"1")
        assert host.read_bytes() == b"1"
        with appearing(path) as output:
            output.write(b"22")
        assert host.read_bytes() == b"22"
        with appearing(path) as output:
            output.write(b"3")
        assert list(path.parent.iterdir()) == [path]
    finally:
        unmount(path)
    assert host.read_bytes() == b"3"
    assert path.read_bytes() == b"old, and longer"


def test_where_there_may_be_no_other_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old, and longer")
    other = tmp_path / "other"
    other.hardlink_to(path)
    monkeypatch.setattr("os.access", lambda *_: False)  # which is never so for root
    write_atomically(path, b"1")
    with appearing(path) as file:
        file.write(b"2")
    assert path.read_bytes() == other.read_bytes() == b"2"
    assert replaced(tmp_path / "none") == tmp_path / "none"  # as whoever makes it will be told


def test_nothing_takes_the_place_of_a_device_or_a_pipe(tmp_path: Path) -> None:
    """Who may write to `/dev` would lose it."""
    for name in ("/dev/full", "/dev/stdout", "/proc/self/fd/1", "/dev/none"):
        assert replaced(Path(name)) is None
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    write_atomically(pipe, b"x")
    reader.join()
    assert read == [b"x"]
    assert pipe.is_fifo()
    with pytest.raises(OSError, match="No space left"):
        write_atomically(Path("/dev/full"), b"x")
    assert Path("/dev/full").is_char_device()


def test_a_link_leads_to_the_file(tmp_path: Path) -> None:
    """Settings may be kept elsewhere."""
    (tmp_path / "kept").mkdir()
    link = tmp_path / "link"
    link.symlink_to("kept/file")
    write_atomically(link, b"1")
    assert (tmp_path / "kept/file").read_bytes() == b"1"
    with appearing(link) as file:
        file.write(b"2")
    assert link.is_symlink()
    assert link.read_bytes() == b"2"


@root_only
@pytest.mark.parametrize("leads_to", ["file", "pipe", "nothing"])
def test_links_of_others_lead_nowhere(tmp_path: Path, leads_to: str) -> None:
    """Nor is what is ours written to that they lead to: the link gives way."""
    precious, link = tmp_path / "precious", tmp_path / "theirs"
    if leads_to == "file":
        precious.write_text("precious")
    elif leads_to == "pipe":
        os.mkfifo(precious)
    for is_small in (True, False):
        link.unlink(missing_ok=True)
        link.symlink_to(precious)
        os.chown(link, 1234, 1234, follow_symlinks=False)
        if is_small:
            write_atomically(link, b"x")
        else:
            with appearing(link) as file:
                file.write(b"x")
        assert link.read_bytes() == b"x"
        assert not link.is_symlink()
    assert precious.exists() is (leads_to != "nothing")
    assert leads_to != "file" or precious.read_text() == "precious"


@root_only
def test_what_is_written_to_as_it_is_is_no_link_of_somebody_else(tmp_path: Path) -> None:
    """It may have come since `replaced` looked."""
    precious, link = tmp_path / "precious", tmp_path / "link"
    precious.write_text("precious")
    link.symlink_to(precious)
    with open_in_place(link) as file:
        file.write(b"ours")
    assert precious.read_text() == "ours"
    os.chown(link, 12345, 12345, follow_symlinks=False)
    with pytest.raises(OSError, match="symbolic links"):
        open_in_place(link)
    assert precious.read_text() == "ours"


@root_only
def test_a_full_disk_is_named(tmp_path: Path) -> None:
    mount(MountSpec("tmpfs", "tmpfs", ("size=4k",)), tmp_path)
    try:
        with pytest.raises(OSError, match=f"No space left on device: '{tmp_path}/file'"):
            write_atomically(tmp_path / "file", b"x" * 5000)
        assert list(tmp_path.iterdir()) == []
    finally:
        unmount(tmp_path)
