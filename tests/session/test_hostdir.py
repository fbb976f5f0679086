"""Directories that are lent by handle: what is asked for, and who may not have it."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from croze.files.peers import sees_our_files
from croze.session import hostdir, visit
from tests.session.conftest import Lend


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    (root / "dir").mkdir(parents=True)
    (root / "dir/file").write_text("y")
    (root / "ünï").write_text("x")
    return root


async def test_a_directory_by_handle(lending: Lend, tree: Path, tmp_path: Path) -> None:
    provider = hostdir.HostDirProvider(
        {"context": tree}, {2: hostdir.LocalTarget(tmp_path / "made/out", delete_extra=True)}
    )
    async with lending([provider]) as session:
        opened = await hostdir.open_dir(session, "context")
        assert opened is not None
        with opened:
            assert (Path(opened.path) / "ünï").read_text() == "x"
        assert await hostdir.open_dir(session, "other") is None
        target = await hostdir.open_target(session, 2)
        assert target is not None
        with target:
            assert target.delete_extra
            (Path(target.path) / "result").write_text("y")
    assert (tmp_path / "made/out/result").read_text() == "y"


async def test_one_visit_for_all_directories(
    lending: Lend, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked for at once, by builds of which one has gone meanwhile, and again after the client has
    hung up, as those from before do after each answer."""
    visits: list[socket.socket] = []

    def sees(sock: socket.socket) -> bool:
        visits.append(sock)
        return sees_our_files(sock)

    monkeypatch.setattr(hostdir, "sees_our_files", sees)
    provider = hostdir.HostDirProvider({"a": tree, "b": tree / "dir", "gone": tree / "none"})

    async with lending([provider]) as session, asyncio.TaskGroup() as group:
        await session.host.begin()
        while not visits:
            await asyncio.sleep(0)
        before = len(os.listdir("/proc/self/fd"))
        names = ("a", "b", "gone", "a")
        asking = [group.create_task(hostdir.open_dir(session, name)) for name in names]
        await asyncio.sleep(0)
        asking[3].cancel()
        opened = [await each for each in asking[:3]]
        assert [lent is not None and os.listdir(lent.path) for lent in opened] == [
            os.listdir(tree),
            os.listdir(tree / "dir"),
            False,
        ]
        for lent in opened:
            if lent is not None:
                lent.close()
        assert len(visits) == 1
        visits[0].shutdown(socket.SHUT_RDWR)
        while (again := await hostdir.open_dir(session, "b")) is None:
            await asyncio.sleep(0)
        again.close()
        assert len(os.listdir("/proc/self/fd")) == before
    assert len(visits) == 2


class Places:
    """Ends of connections to places that lend; what a visit dials."""

    def __init__(self) -> None:
        self.theirs: list[socket.socket] = []
        self.may_dial = asyncio.Event()
        self.may_dial.set()

    async def dial(self, _name: str) -> socket.socket:
        await self.may_dial.wait()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        theirs.setblocking(False)
        self.theirs.append(theirs)
        return ours

    async def question(self, number: int) -> bytes:
        """What is asked on that connection, when it is."""
        while len(self.theirs) <= number:
            await asyncio.sleep(0)
        loop = asyncio.get_running_loop()
        return await loop.sock_recv(self.theirs[number], hostdir.PACKET_BYTES)

    def close(self) -> None:
        for each in self.theirs:
            each.close()


@pytest.fixture
async def places() -> AsyncIterator[Places]:
    places = Places()
    yield places
    places.close()


async def test_an_answer_that_comes_as_who_asked_leaves(places: Places) -> None:
    """Nobody has what is lent then."""

    class Hasty(visit.HostVisit):
        def _give(self, answer: bytes, fd: int | None) -> None:
            super()._give(answer, fd)
            asking.cancel()

    host = Hasty("place 00", places.dial)
    async with asyncio.TaskGroup() as group:
        asking = group.create_task(host.ask("dcontext"))
        await places.question(0)
        before = len(os.listdir("/proc/self/fd"))
        socket.send_fds(places.theirs[0], [hostdir.LENT], [places.theirs[0].fileno()])
    assert asking.cancelled()
    assert len(os.listdir("/proc/self/fd")) == before
    host.close()


async def test_a_session_that_ends_while_its_place_is_dialled(places: Places) -> None:
    places.may_dial.clear()
    host = visit.HostVisit("place 00", places.dial)
    async with asyncio.TaskGroup() as group:
        asking = group.create_task(host.ask("dcontext"))
        await asyncio.sleep(0)
        host.close()
        places.may_dial.set()
    assert asking.result() is None
    assert await places.question(0) == b""


async def test_who_hears_late_of_a_connection_leaves_the_next_one_alone(places: Places) -> None:
    host = visit.HostVisit("place 00", places.dial)

    async def ask_twice() -> list[visit.Answer | None]:
        return [await host.ask("da"), await host.ask("db")]

    async with asyncio.TaskGroup() as group:
        asking = [group.create_task(ask_twice()) for _ in range(2)]
        await places.question(0)
        places.theirs[0].close()
        for _ in asking:
            assert await places.question(1) == b"\0db"
            places.theirs[1].send(hostdir.REFUSED)
    refused = (hostdir.REFUSED, None)
    assert [each.result() for each in asking] == [[None, refused]] * 2
    host.close()


async def test_who_takes_no_answer_is_not_waited_for(
    lending: Lend, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise BlockingIOError

    monkeypatch.setattr(socket, "send_fds", full)
    async with lending([hostdir.HostDirProvider({"context": tree})]) as session:
        async with asyncio.timeout(visit.TIMEOUT_S / 2):
            assert await hostdir.open_dir(session, "context") is None


async def test_a_stranger_gets_no_handle(
    lending: Lend, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visit, "is_own_or_roots", lambda sock: False)
    async with lending([hostdir.HostDirProvider({"context": tree})]) as session:
        assert await hostdir.open_dir(session, "context") is None


async def test_no_handle_without_the_token(tree: Path) -> None:
    with hostdir.HostDirProvider({"context": tree}).announced() as headers:
        name = headers[visit.HEADER].partition(" ")[0]
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as stranger:
            stranger.setblocking(False)
            stranger.connect(f"\0{name}")
            stranger.send(bytes(hostdir.TOKEN_BYTES) + b"dcontext")
            assert await asyncio.get_running_loop().sock_recv(stranger, 1) == b""


async def test_no_handles_from_other_clients(lending: Lend) -> None:
    async with lending([]) as session:
        assert await hostdir.open_dir(session, "context") is None
        assert await hostdir.open_target(session, 0) is None
