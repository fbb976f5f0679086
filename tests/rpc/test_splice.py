"""A connection that streams are taken out of, with scripted peers at both ends."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import pytest
from hpack import Encoder

from croze.rpc.http2 import frames, splice
from croze.rpc.http2.blocks import header_block, header_frames
from croze.rpc.http2.frames import Code, frame
from croze.rpc.http2.messages import prefixed
from croze.rpc.http2.sieve import FRAME_BYTES, Taken
from croze.rpc.http2.splice import Splice
from tests.rpc.raw_frames import data, parsed

HELLO = frames.settings({})
PATH = "/a/Session"
ANSWER = header_frames(1, b"\x88", 99)


class Between:
    """A splice, the calls that were taken, and what has come out of both ends."""

    def __init__(self) -> None:
        self.taken: list[Taken] = []
        self.splice = Splice(self._wanted)
        self._encoder = Encoder()
        self.client(frames.PREFACE + HELLO)
        self.server(HELLO)

    def _wanted(self, path: str, taken: Taken) -> tuple[str, str] | None:
        if path != PATH:
            return None
        self.taken.append(taken)
        return ("x-extra", "token")

    def call(self, number: int, path: str = PATH, *, end: bool = False) -> bytes:
        block = self._encoder.encode([(":method", "POST"), (":path", path), ("k", str(number))])
        return header_frames(number, block, 20, end_stream=end)

    def open(self) -> Taken:
        """The call with the number 1, which the server has answered."""
        self.client(self.call(1))
        self.server(ANSWER)
        return self.taken[-1]

    def client(self, said: bytes) -> tuple[bytes, bytes]:
        """What comes out at the server's end, and at the client's."""
        self.splice.from_client(said)
        return self.splice.to_server(), self.splice.to_client()

    def server(self, said: bytes) -> tuple[bytes, bytes]:
        self.splice.from_server(said)
        return self.splice.to_server(), self.splice.to_client()


def kinds(said: bytes) -> list[tuple[int, int]]:
    return [(kind, number) for kind, _, number, _ in parsed(said)]


def credit(said: bytes, number: int) -> int:
    return sum(
        frames.word.unpack(payload)[0]
        for kind, _, stream, payload in parsed(said)
        if (kind, stream) == (frames.WINDOW_UPDATE, number)
    )


def test_what_is_not_wanted_passes_as_it_is() -> None:
    between = Between()
    said = between.call(1, "/a/Other") + data(1, b"x" * 50, frames.END_STREAM)
    said += between.call(3, PATH, end=True)  # it has no body
    said += frame(frames.PING, 0, 0, bytes(8)) + frame(0x77, 3, 9, b"unknown")
    said += frame(frames.GOAWAY, 0, 0, bytes(8))
    assert between.client(said) == (said, b"")
    said = ANSWER + data(1, b"y" * 50) + frame(frames.HEADERS, 5, 1, b"\x88")
    assert between.server(said) == (b"", said)
    assert between.taken == []


def test_the_server_gets_one_more_header_and_no_data() -> None:
    between = Between()
    server, client = between.client(between.call(1) + data(1, prefixed(b"one", b"two")[:-1]))
    block = b"".join(payload for *_, payload in parsed(server))
    assert block.endswith(header_block((("x-extra", "token"),)))
    flags = [flags & frames.END_HEADERS for _, flags, *_ in parsed(server)]
    assert flags == [0] * (len(flags) - 1) + [frames.END_HEADERS]
    assert credit(client, 0) >= credit(client, 1) == splice.WINDOW_BYTES
    (taken,) = between.taken
    assert between.splice.take(taken) == [b"one"]
    server, _ = between.client(data(1, b"o", frames.END_STREAM))
    assert list(parsed(server)) == [(frames.DATA, frames.END_STREAM, 1, b"")]
    assert (between.splice.take(taken), taken.ended, taken.over) == ([b"two"], True, False)


@pytest.mark.parametrize("seed", range(6))
def test_however_the_bytes_are_cut(seed: int) -> None:
    chance = random.Random(seed)
    between = Between()
    said, passed, wanted = between.call(1) + between.call(3, "/a/b"), b"", []
    for _ in range(200):
        piece = chance.randbytes(chance.choice((0, 5, 100, 900)))
        if chance.random() < 0.5:
            wanted.append(piece)
            left = prefixed(piece)
            while left:
                size = chance.randint(1, 400)
                said += data(1, left[:size])
                left = left[size:]
        else:
            other = chance.choice((data(3, piece), frame(frames.PING, 0, 0, bytes(8))))
            said, passed = said + other, passed + other
    server, found = b"", []
    while said:
        size = chance.choice((1, 3, 700))
        server += between.client(said[:size])[0]
        said = said[size:]
        between.server(frames.window_update(0, size))
        found += between.splice.take(between.taken[0]) if between.taken else []
    assert found == wanted
    assert server.endswith(passed)


def test_data_are_put_in_as_far_as_the_client_allows() -> None:
    between = Between()
    between.client(between.call(1))
    (taken,) = between.taken
    body = memoryview(bytes(200_000))
    assert between.splice.put(taken, body) == 0  # there are no headers yet
    between.server(ANSWER)
    assert between.splice.put(taken, body) == frames.DEFAULT_WINDOW
    lengths = [len(payload) for *_, payload in parsed(between.splice.to_client())]
    assert lengths == [16_384, 16_384, 16_384, 16_383]
    server, _ = between.client(frames.window_update(1, 100_000))
    assert server == b""
    assert between.splice.put(taken, body) == 0
    # what the client gives for what was put in does not go to the server; the rest does
    server, _ = between.client(frames.window_update(0, 50_000))
    assert server == b""
    server, _ = between.client(frames.window_update(0, 50_000))
    assert credit(server, 0) == 100_000 - frames.DEFAULT_WINDOW
    assert between.splice.put(taken, body) == 100_000
    between.client(frames.settings({frames.INITIAL_WINDOW_SIZE: 0}))
    assert taken.may_send == -frames.DEFAULT_WINDOW


PASSING = {
    "data": data(3, bytes(300)),
    "headers": header_frames(3, bytes(300), 99),
    "goaway": frame(frames.GOAWAY, 0, 0, bytes(300)),
}


@pytest.mark.parametrize("cut", [1, 9, 100, 200])
@pytest.mark.parametrize("passing", PASSING.values(), ids=PASSING)
def test_nothing_is_put_into_the_midst_of_what_passes(passing: bytes, cut: int) -> None:
    between = Between()
    taken = between.open()
    between.client(data(1, prefixed(bytes(16_000))) * 20)
    pieces = [between.server(passing[:cut])[1]]
    assert between.splice.put(taken, memoryview(b"ours")) == 4
    assert len(between.splice.take(taken)) == 20
    between.splice.break_off(taken, Code.CANCEL)
    pieces += [between.splice.to_client(), between.server(passing[cut:])[1]]
    said = b"".join(pieces)
    assert passing in said
    rest = said.replace(passing, b"")
    assert kinds(rest) == [(frames.DATA, 1), (frames.WINDOW_UPDATE, 1), (frames.RST_STREAM, 1)]


def test_calls_that_the_server_passes_over_are_not_taken() -> None:
    between = Between()
    for number in (5, 5, 3, 6, 8):
        between.client(between.call(number))
        between.client(frames.rst_stream(number, Code.CANCEL))
    assert [taken.number for taken in between.taken] == [5]


def test_so_many_calls_are_taken_and_no_more() -> None:
    between = Between()
    for number in range(1, 601, 2):
        between.client(between.call(number))
    assert len(between.taken) == splice.MOST_TAKEN
    said = between.call(601)
    assert between.client(said)[0] == said


def test_what_the_server_sends_beyond_the_window_is_held_back() -> None:
    between = Between()
    taken = between.open()
    between.splice.put(taken, memoryview(bytes(60_000)))
    between.splice.to_client()
    said = data(3, bytes(4_000)) + data(3, bytes(2_000)) + frame(frames.PING, 0, 0, bytes(8))
    assert between.server(said) == (b"", said[:4_009])
    assert between.splice.held_from_server == len(said) - 4_009
    assert between.splice.put(taken, memoryview(b"x")) == 0  # not before what is held
    assert between.client(frames.window_update(0, 500)) == (b"", said[4_009:])
    assert between.splice.held_from_server == 0


def test_what_the_client_sends_beyond_the_servers_window_is_held_back() -> None:
    """It may send more than the server knows of."""
    between = Between()
    between.open()
    said = b"".join(data(3, bytes(16_000)) for _ in range(6))
    server, _ = between.client(said)
    assert len(server) == 4 * 16_009
    assert between.splice.held_from_client == 2 * 16_009
    server, client = between.server(frames.window_update(0, 64_000))
    assert (len(server), credit(client, 0)) == (2 * 16_009, 64_000)


def test_credit_is_given_for_what_was_taken() -> None:
    between = Between()
    taken = between.open()
    for _ in range(20):
        _, client = between.client(data(1, prefixed(bytes(16_000))))
        assert credit(client, 1) == 0  # nobody has taken it
        client_credit = credit(client, 0)
    assert client_credit >= 0
    assert len(between.splice.take(taken)) == 20
    assert credit(between.splice.to_client(), 1) == 20 * 16_005


def reset_by_client(between: Between) -> None:
    server, _ = between.client(frames.rst_stream(1, Code.CANCEL))
    assert kinds(server) == [(frames.RST_STREAM, 1)]


def reset_by_server(between: Between) -> None:
    _, client = between.server(frames.rst_stream(1, Code.CANCEL))
    assert kinds(client) == [(frames.RST_STREAM, 1)]


def trailers(between: Between) -> None:
    _, client = between.server(header_frames(1, b"\x88", 99, end_stream=True))
    assert kinds(client) == [(frames.HEADERS, 1)]


def no_message(between: Between) -> None:
    server, client = between.client(data(1, b"\1\0\0\0\1x"))
    assert kinds(server) == kinds(client)[-1:] == [(frames.RST_STREAM, 1)]


def padding(between: Between) -> None:
    server, client = between.client(data(1, b"\1xx", frames.PADDED))
    assert kinds(server)[0] == kinds(client)[-1] == (frames.RST_STREAM, 1)


def huge_headers(between: Between) -> None:
    said = frame(frames.HEADERS, 0, 5, bytes(FRAME_BYTES + 1))
    assert between.client(said)[0] == said
    assert between.client(data(1, b"x"))[0] == data(1, b"x")


def the_end(between: Between) -> None:
    between.splice.close()


def too_much(between: Between) -> None:
    piece = data(1, prefixed(bytes(60_000)))
    for _ in range(splice.MOST_BYTES // 60_000 + 1):
        between.splice.from_client(piece)
    assert between.taken[0].over


@pytest.mark.parametrize(
    "ending",
    [
        reset_by_client,
        reset_by_server,
        trailers,
        no_message,
        padding,
        huge_headers,
        the_end,
        too_much,
    ],
)
def test_how_calls_end(ending: Callable[[Between], None]) -> None:
    between = Between()
    taken = between.open()
    heard: list[str] = []
    taken.on_news = lambda: heard.append("news")
    taken.on_room = lambda: heard.append("room")
    ending(between)
    assert taken.ended
    assert taken.over
    assert {"news", "room"} <= set(heard)
    assert between.splice.put(taken, memoryview(b"x")) == 0


def blind() -> Iterator[tuple[str, bytes]]:
    yield "no preface", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    yield "no hpack", frames.PREFACE + frame(frames.HEADERS, 4, 1, b"\xff\xff\xff\xff\xff\xff\xff")
    endless = frame(frames.CONTINUATION, 0, 1, bytes(16_000)) * 20
    yield "endless headers", frames.PREFACE + frame(frames.HEADERS, 0, 1) + endless
    bomb = b"\x40\x01a\x7f\x81\x1e" + bytes(4000) + b"\xbe" * 8000
    yield "hpack bomb", frames.PREFACE + frame(frames.HEADERS, 4, 1, bomb)
    yield "continuation of nothing", frames.PREFACE + frame(frames.CONTINUATION, 4, 1, b"\xff\xff")


@pytest.mark.parametrize(("said"), [each[1] for each in blind()], ids=[e[0] for e in blind()])
def test_what_cannot_be_read_is_left_to_the_server(said: bytes) -> None:
    asked: list[str] = []

    def wanted(path: str, taken: Taken) -> tuple[str, str] | None:
        asked.append(path)
        return None

    found = Splice(wanted)
    again = header_frames(3, Encoder().encode([(":path", PATH)]), 99)
    for each in (said, again):
        found.from_client(each)
        assert found.to_server() == each
    assert [each for each in asked if each] == []
