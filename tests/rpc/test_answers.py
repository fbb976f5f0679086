"""Answers as Go's gRPC takes them: of proxies, compressed ones, and of peers that are leaving."""

from __future__ import annotations

import asyncio
import zlib
from pathlib import Path

import pytest

from croze.aio.streams import Socket
from croze.rpc.channel import Channel
from croze.rpc.http2 import frames
from croze.rpc.http2.client import STREAMS_UNTOLD, ClientConnection
from croze.rpc.http2.frames import Code
from croze.rpc.http2.messages import prefixed
from croze.rpc.limits import MESSAGE_LIMIT_BYTES
from croze.rpc.stand_ins import AioRpcError, StatusCode
from croze.rpc.status import status
from tests.rpc.raw_frames import data, parsed
from tests.rpc.scripted import HELLO, LEAVING, answering, block, peers

GRPC = ((":status", "200"), ("content-type", "application/grpc+proto"))
GZIP = (*GRPC, ("grpc-encoding", "gzip"))
WELL = (("grpc-status", "0"),)
HTML = ((":status", "502"), ("content-type", "text/html"))


def packed(message: bytes) -> bytes:
    packer = zlib.compressobj(wbits=31)
    return b"\1" + prefixed(packer.compress(message) + packer.flush())[1:]


PROXIED = (
    "unexpected HTTP status code received from server: 502 (Bad Gateway); "
    'transport: received unexpected content-type "text/html"'
)


@pytest.mark.parametrize(
    ("said", "code", "message"),
    [
        (block(1, HTML, end=True), 14, PROXIED),
        (
            block(1, HTML) + data(1, b"<h1>no", frames.END_STREAM),
            14,
            f'{PROXIED}\ndata: "<h1>no"',
        ),
        (
            block(1, HTML) + data(1, b"no\n\xff") + block(1, (("x", "y"),), end=True),
            14,
            f'{PROXIED}\ndata: "no\\n\\xff"',
        ),
        (block(1, HTML) + data(1, b"x" * 5000), 14, f'{PROXIED}\ndata: "{"x" * 1024}"'),
        (
            block(1, ((":status", "100"),)) + block(1, ((":status", "404"),), end=True),
            12,
            "unexpected HTTP status code received from server: 404 (Not Found); "
            "malformed header: missing HTTP content-type",
        ),
        (
            block(1, (), end=True),
            13,
            "malformed header: missing HTTP status; malformed header: missing HTTP content-type",
        ),
        (
            block(1, ((":status", "200"), ("content-type", "application/grpc-web")), end=True),
            2,
            "unexpected HTTP status code received from server: 200 (OK); "
            'transport: received unexpected content-type "application/grpc-web"',
        ),
        (
            block(1, (*GRPC, ("grpc-encoding", "snappy"))) + data(1, b"\1\0\0\0\1x"),
            13,
            'grpc: Decompressor is not installed for grpc-encoding "snappy"',
        ),
    ],
)
def test_answers_that_are_none(said: bytes, code: int, message: str) -> None:
    http = ClientConnection()
    http.receive(HELLO)
    one, other = http.open(((":path", "/a/b"),)), http.open(((":path", "/a/b"),))
    http.outgoing()
    http.receive(said)
    assert one.ended == status(code, message)
    *_, (kind, _, number, _) = parsed(http.outgoing())
    assert (kind, number) == (frames.RST_STREAM, 1)
    http.receive(block(3, (*GRPC, *WELL), end=True))
    assert other.ended == status(0)


def test_a_peer_that_names_no_number_takes_any_number_of_calls() -> None:
    http = ClientConnection()
    for _ in range(STREAMS_UNTOLD):
        http.open(())
    assert not http.has_room
    http.receive(HELLO)
    assert http.has_room
    http.receive(frames.settings({frames.MAX_CONCURRENT_STREAMS: STREAMS_UNTOLD}))
    assert not http.has_room
    http.receive(HELLO)
    assert not http.has_room


async def test_compressed_answers(tmp_path: Path) -> None:
    many = b"".join(packed(bytes(1 << 20)) for _ in range(40))
    pieces = [many[start : start + 16_000] for start in range(0, len(many), 16_000)]
    said = block(1, GZIP) + b"".join(data(1, piece) for piece in pieces)
    said += data(1, prefixed(b"plain")) + block(1, WELL, end=True)
    async with peers(tmp_path / "s", answering(said)) as made:
        answers = made.unary_stream("/test.S/m", bytes, bytes)(b"")
        sizes = [len(each) async for each in answers]
    assert sizes == [1 << 20] * 40 + [5]


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (b"\1\0\0\0\2no", "failed to decompress the received message"),
        (packed(bytes(MESSAGE_LIMIT_BYTES + 1)), "after decompression larger than max 16777216"),
    ],
)
async def test_what_can_not_be_unpacked(message: bytes, why: str, tmp_path: Path) -> None:
    said = block(1, GZIP) + data(1, message) + block(1, WELL, end=True)
    async with peers(tmp_path / "s", answering(said)) as made:
        with pytest.raises(AioRpcError, match=why):
            await made.unary_unary("/test.S/m", bytes, bytes)(b"")


WELL_DONE = answering(block(1, GRPC) + data(1, prefixed(b"x")) + block(1, WELL, end=True))


async def ask(made: Channel, shape: str) -> bytes:
    if shape == "unary":
        return await made.unary_unary("/test.S/m", bytes, bytes)(b"")
    return b"".join([each async for each in made.unary_stream("/test.S/m", bytes, bytes)(b"")])


@pytest.mark.parametrize("shape", ["unary", "stream"])
async def test_what_a_leaving_peer_has_not_seen_is_asked_again(shape: str, tmp_path: Path) -> None:
    async with peers(tmp_path / "s", answering(LEAVING), WELL_DONE) as made:
        assert await ask(made, shape) == b"x"
    async with peers(tmp_path / "t", answering(LEAVING), answering(LEAVING)) as made:
        with pytest.raises(AioRpcError, match="draining") as caught:
            await ask(made, shape)
        assert caught.value.code() is StatusCode.UNAVAILABLE


@pytest.mark.parametrize("shape", ["unary", "stream"])
async def test_a_call_that_is_refused_is_made_again(shape: str, tmp_path: Path) -> None:
    again = block(3, GRPC) + data(3, prefixed(b"x")) + block(3, WELL, end=True)

    async def say(stream: Socket) -> None:
        await stream.write(HELLO + frames.rst_stream(1, Code.REFUSED_STREAM))
        heard = b""
        while heard.count(b"/test.S/") < 2:
            heard += await stream.read()
        await stream.write(again)
        await stream.read()

    async with peers(tmp_path / "s", say) as made:
        assert await ask(made, shape) == b"x"


async def test_a_peer_that_leaves_before_there_is_a_call(tmp_path: Path) -> None:
    """The next call is made elsewhere; and who is left by all their calls is hung up on."""
    ended = asyncio.Event()

    async def leave(stream: Socket) -> None:
        await stream.write(HELLO + frames.goaway(0, Code.NO_ERROR, ""))
        while await stream.read():
            pass
        ended.set()

    async with peers(tmp_path / "s", leave, WELL_DONE) as made:
        assert await made.socket() is not None
        await ended.wait()
        assert await ask(made, "unary") == b"x"


async def test_calls_under_way_go_on_when_the_peer_leaves(tmp_path: Path) -> None:
    ended, asked = asyncio.Event(), asyncio.Event()

    async def finish(stream: Socket) -> None:
        heard = b""
        while b"/test.S/" not in heard:
            heard += await stream.read()
        await stream.write(HELLO + block(1, GRPC) + frames.goaway(1, Code.NO_ERROR, ""))
        await asked.wait()
        await stream.write(data(1, prefixed(b"y")) + block(1, WELL, end=True))
        while await stream.read():
            pass
        ended.set()

    async with peers(tmp_path / "s", finish, WELL_DONE) as made:
        answers = made.unary_stream("/test.S/m", bytes, bytes)(b"")
        await answers.initial_metadata()
        assert await ask(made, "unary") == b"x"
        asked.set()
        assert [each async for each in answers] == [b"y"]
        await ended.wait()


@pytest.mark.parametrize(
    ("begin", "text"),
    [
        (b"HTTP/1.1 400 Bad Request\r\nDate: now\r\n", '"HTTP/1.1 400 Bad Request"'),
        (b"SSH-2.0-x\xff\n", '"SSH-2.0-x\\xff"'),
        (b"+OK a very long line" * 100, f'"{"+OK a very long line" * 4}"'),
    ],
)
async def test_who_speaks_something_else_is_told(tmp_path: Path, begin: bytes, text: str) -> None:
    async def say(stream: Socket) -> None:
        await stream.read()
        for at in range(0, len(begin), 7):  # a frame's head in two pieces
            await stream.write(begin[at : at + 7])
        while await stream.read():
            pass

    path = tmp_path / "daemon.sock"
    async with peers(path, say) as channel:
        with pytest.raises(AioRpcError) as caught:
            await channel.unary_unary("/test.S/echo", bytes, bytes)(b"x")
    reason = f"invalid HTTP/2: the peer does not speak it, but says {text}"
    assert caught.value.details() == f"failed to connect to unix:{path}: {reason}"
