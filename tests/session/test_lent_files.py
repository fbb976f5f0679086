"""Files of a client that results go to: one that is lent, and one that can not be made."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from croze.session.hostdir import HostDirProvider, open_file
from croze.session.providers import targets
from croze.session.providers.targets import FdOutput, FileOutput
from tests.session.conftest import Lend


class Opened:
    """What a client has open."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def opened(self, id: int) -> asyncio.Future[int]:
        file = asyncio.get_running_loop().create_future()
        file.set_result(self._fd)
        return file


def pipe(folder: Path) -> int:
    os.mkfifo(folder / "pipe")
    return os.open(folder / "pipe", os.O_RDWR)


def file(flags: int) -> Callable[[Path], int]:
    def touched(folder: Path) -> int:
        (folder / "file").touch()
        return os.open(folder / "file", flags)

    return touched


def opened() -> list[str]:
    """What this process has open."""
    paths = []
    for fd in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):  # that of the listing
            paths.append(os.readlink(f"/proc/self/fd/{fd}"))
    return paths


@pytest.mark.parametrize(
    ("of", "is_taken"),
    [
        (file(os.O_WRONLY), True),
        (file(os.O_RDWR), True),
        (file(os.O_RDONLY), False),
        (file(os.O_PATH), False),
        (lambda folder: os.open(folder, os.O_RDONLY), False),
        (pipe, False),
        (lambda _: socket.socket().detach(), False),
    ],
    ids=["writing", "both", "reading", "path", "directory", "pipe", "socket"],
)
async def test_only_a_file_to_write_is_taken(
    lending: Lend, tmp_path: Path, of: Callable[[Path], int], is_taken: bool
) -> None:
    """Another would hold up who writes it, or be written to by who may do more than the client."""
    fd = of(tmp_path)
    try:
        async with lending([HostDirProvider({}, files=Opened(fd))]) as session:
            async with open_file(session, 0) as lent:
                assert (lent is not None) is is_taken
            assert opened().count(os.readlink(f"/proc/self/fd/{fd}")) == 1
    finally:
        os.close(fd)


def test_a_file_that_can_not_take_its_place_is_gone(tmp_path: Path) -> None:
    output = FileOutput(tmp_path / "out")
    output.write(b"new")
    (tmp_path / "out").mkdir()
    with pytest.raises(IsADirectoryError):
        output.commit()
    assert [each.name for each in tmp_path.iterdir()] == ["out"]
    assert not [path for path in opened() if path.startswith(f"{tmp_path}/")]


def test_files_are_named_as_they_were_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In buildx's words: not by what stands in for them until they are whole."""
    with pytest.raises(OSError, match="out") as unopened:
        FileOutput(Path("/proc/self/fdinfo/out")).write(b"x")
    assert unopened.value.filename == "open /proc/self/fdinfo/out"
    output = FileOutput(tmp_path / "out")

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), "a name of its own")

    monkeypatch.setattr("os.rename", refuse)
    with pytest.raises(PermissionError) as unwritten:
        output.commit()
    assert unwritten.value.filename == f"write {tmp_path}/out"
    fd = os.open("/dev/full", os.O_WRONLY)
    monkeypatch.setattr(targets, "_STANDARD", {fd: "/dev/stdout"})
    with pytest.raises(OSError, match="write /dev/stdout"):
        FdOutput(fd).write(b"x")
    os.close(fd)
