"""Servers of byte streams: so many at once and no more, and nothing left when they end."""

from __future__ import annotations

import asyncio
import socket
import ssl
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable
from pathlib import Path

import pytest

from croze.aio.streams import Socket, listening, on_sockets, serving
from tests.registry.servers import make_certificate


async def echo(reader: StreamReader, writer: StreamWriter) -> None:
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()


async def dial(path: Path) -> tuple[StreamReader, StreamWriter]:
    return await asyncio.open_unix_connection(path)


async def says(streams: tuple[StreamReader, StreamWriter], text: bytes) -> bytes:
    reader, writer = streams
    writer.write(text)
    try:
        return await reader.read(100)
    except ConnectionError:
        return b""


async def test_so_many_at_once_and_no_more(tmp_path: Path) -> None:
    path = tmp_path / "sock"
    async with serving(listening(str(path)), echo, most=2):
        first, second = await dial(path), await dial(path)
        assert [await says(each, b"x") for each in (first, second)] == [b"x", b"x"]
        third = await dial(path)
        assert await says(third, b"x") == b""
        first[1].close()
        await first[1].wait_closed()
        while await says(fourth := await dial(path), b"y") != b"y":
            fourth[1].close()
        assert await says(second, b"z") == b"z"
    for each in (second, third, fourth):
        assert await says(each, b"x") == b""
        each[1].close()


async def test_what_was_written_is_sent_though_its_server_ends(tmp_path: Path) -> None:
    async def tell(_: StreamReader, writer: StreamWriter) -> None:
        writer.write(bytes(1 << 20))

    path = tmp_path / "sock"
    async with serving(listening(str(path)), tell, most=1):
        reader, writer = await dial(path)
        assert len(await reader.read()) == 1 << 20
        writer.close()


async def test_an_error_ends_one_connection(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(reader: StreamReader, writer: StreamWriter) -> None:
        raise ValueError(await reader.read(1))

    path = tmp_path / "sock"
    async with serving(listening(str(path)), fail, most=1):
        for _ in range(2):
            streams = await dial(path)
            assert await says(streams, b"x") == b""
            streams[1].close()
    assert [record.message for record in caplog.records] == ["a connection failed"] * 2


async def test_who_does_not_greet_makes_room_for_others(tmp_path: Path) -> None:
    """A stranger who begins handshakes and never ends them holds up nobody."""
    make_certificate(tmp_path)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    client = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
    path = tmp_path / "sock"
    loop = asyncio.get_running_loop()
    async with serving(listening(str(path)), echo, most=4, tls=server):
        silent = [socket.socket(socket.AF_UNIX) for _ in range(20)]
        for sock in silent:
            sock.setblocking(False)
            await loop.sock_connect(sock, str(path))
        reader, writer = await asyncio.open_unix_connection(
            path, ssl=client, server_hostname="127.0.0.1"
        )
        assert await says((reader, writer), b"x") == b"x"
        assert sum([await ends(sock) for sock in silent[:17]]) == 17
        writer.close()
        for sock in silent:
            sock.close()


async def test_a_machine_that_vanishes_is_noticed() -> None:
    met: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    async def look(_: StreamReader, writer: StreamWriter) -> None:
        sock = writer.get_extra_info("socket")
        met.set_result(bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)))

    listener = socket.create_server(("127.0.0.1", 0))
    address = listener.getsockname()
    async with serving(listener, look, most=1):
        _, writer = await asyncio.open_connection(*address)
        assert await met
        writer.close()


async def ends(sock: socket.socket) -> bool:
    try:
        return await asyncio.get_running_loop().sock_recv(sock, 1) == b""
    except ConnectionError:
        return True


PIECES = 400


async def pieces_taken(path: Path, *, answers: bool) -> int:
    """In how many pieces a byte at a time is taken of who sends the next as soon as this one has
    gone, or has been answered."""
    pieces: list[bytes] = []

    async def take(connection: Socket) -> None:
        def count(data: bytes) -> None:
            pieces.append(data)
            if answers:
                connection.write_now(b".")

        await connection.push(count)

    async with serving(listening(str(path)), on_sockets(take), most=1):
        reader, writer = await dial(path)
        for _ in range(PIECES):
            writer.write(b"x")
            if answers:
                await reader.readexactly(1)
            else:
                await asyncio.sleep(0)
        writer.write_eof()
        assert await reader.read() == b""
        writer.close()
    assert b"".join(pieces) == b"x" * PIECES
    return len(pieces)


async def test_what_trickles_is_taken_in_together(tmp_path: Path) -> None:
    assert await pieces_taken(tmp_path / "sock", answers=False) < PIECES // 4


async def test_who_waits_for_answers_is_not_kept_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its pieces are pieces one by one, none of them after a pause."""
    loop = asyncio.get_running_loop()
    paused: list[object] = []
    later = loop.call_later

    def call_later(delay: float, callback: Callable[[], object]) -> asyncio.TimerHandle:
        paused.append(callback)
        return later(delay, callback)

    monkeypatch.setattr(loop, "call_later", call_later)
    assert await pieces_taken(tmp_path / "sock", answers=True) == PIECES
    assert not paused
