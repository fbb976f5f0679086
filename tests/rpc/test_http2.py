"""The client's side of HTTP/2, with a scripted peer: what it takes, refuses and keeps."""

from __future__ import annotations

import base64
import itertools
import random
import tracemalloc
from collections.abc import Iterable

import pytest
from hpack import Encoder

from croze.rpc.http2 import connection, frames, stream
from croze.rpc.http2.blocks import header_frames
from croze.rpc.http2.client import ClientConnection, ClientStream
from croze.rpc.http2.frames import Code, ConnectionBroken, frame
from croze.rpc.http2.messages import prefixed
from croze.rpc.status import status
from tests.rpc.raw_frames import data, parsed

HELLO = frames.settings({})
ANSWER = ((":status", "200"), ("content-type", "application/grpc"))
WELL = (("grpc-status", "0"),)


class Peer:
    """A server: its frames, and what it is sent."""

    def __init__(self, hello: bytes = HELLO) -> None:
        self.http = ClientConnection()
        self._encoder = Encoder()
        self.http.receive(hello)
        self.http.outgoing()

    def call(self) -> ClientStream:
        made = self.http.open(((":method", "POST"), (":path", "/a/b")))
        self.http.outgoing()
        return made

    def answered(self) -> ClientStream:
        made = self.call()
        self.http.receive(self.headers(made.number, ANSWER))
        return made

    def headers(
        self, number: int, headers: Iterable[tuple[str, str]], *, end: bool = False, limit: int = 99
    ) -> bytes:
        block = self._encoder.encode(headers)
        return header_frames(number, block, limit, end_stream=end)

    def sent(self) -> list[tuple[int, int, int, bytes]]:
        """Kind, flags, stream and payload of the frames that have been sent."""
        return list(parsed(self.http.outgoing()))


def feed(http: ClientConnection, pieces: Iterable[bytes]) -> None:
    for piece in pieces:
        http.receive(piece)


# -- what goes well --------------------------------------------------------------------------


def test_the_preface_comes_first_and_settings_are_acknowledged() -> None:
    http = ClientConnection()
    http.receive(HELLO)
    assert http.outgoing().startswith(frames.PREFACE)
    http.receive(HELLO + frame(frames.PING, 0, 0, b"12345678"))
    assert list(parsed(http.outgoing())) == [
        (frames.SETTINGS, frames.ACK, 0, b""),
        (frames.PING, frames.ACK, 0, b"12345678"),
    ]


@pytest.mark.parametrize("seed", range(8))
def test_messages_come_whole_however_the_bytes_are_cut(seed: int) -> None:
    chance = random.Random(seed)
    peer = Peer()
    first, second = peer.call(), peer.call()
    wanted: dict[int, list[bytes]] = {first.number: [], second.number: []}
    said = peer.headers(first.number, ANSWER, limit=7) + peer.headers(second.number, ANSWER)
    for _ in range(60):
        number = chance.choice(list(wanted))
        some = [chance.randbytes(chance.choice((0, 1, 90, 5000))) for _ in range(3)]
        wanted[number] += some
        remaining = prefixed(*some)
        while remaining:
            size = chance.randint(1, 3000)
            padding = chance.choice((None, 0, 9))
            piece, remaining = remaining[:size], remaining[size:]
            if padding is None:
                said += data(number, piece)
            else:
                said += data(number, bytes([padding]) + piece + bytes(padding), frames.PADDED)
            if chance.random() < 0.1:
                said += frame(0x55, 0xFF, 0, b"nobody knows") + frame(2, 0, number, bytes(5))
    said += peer.headers(first.number, WELL, end=True) + peer.headers(second.number, WELL, end=True)
    found: dict[int, list[bytes]] = {number: [] for number in wanted}
    while said:
        size = chance.choice((1, 8, 10, 4000, 100_000))
        peer.http.receive(said[:size])
        said = said[size:]
        for each in (first, second):
            found[each.number] += peer.http.take(each)
    assert found == wanted
    assert first.ended == second.ended == status(0)


def test_what_is_sent_keeps_to_windows_and_frames() -> None:
    hello = frames.settings({frames.INITIAL_WINDOW_SIZE: 40_000, frames.MAX_FRAME_SIZE: 20_000})
    peer = Peer(hello)
    one, two = peer.call(), peer.call()
    body = memoryview(bytes(100_000))
    assert peer.http.send(one, body) == 40_000
    assert [len(p) for _, _, _, p in peer.sent()] == [20_000, 20_000]
    assert peer.http.send(two, body) == frames.DEFAULT_WINDOW - 40_000
    peer.http.receive(frames.window_update(one.number, 5))
    assert peer.http.send(one, body) == 0  # the connection has no room
    peer.http.receive(frames.window_update(0, 100_000))
    assert peer.http.send(one, body) == 5
    peer.http.receive(frames.settings({frames.INITIAL_WINDOW_SIZE: 0}))
    assert one.widened == -40_000
    assert peer.http.send(one, body) == 0
    peer.http.receive(frames.window_update(one.number, 40_010))
    assert peer.http.send(one, body[:10], end=True) == 10
    assert peer.sent()[-1][1] == frames.END_STREAM
    assert one.sent_all


def test_who_sends_more_than_is_written_has_to_wait() -> None:
    peer = Peer(frames.settings({frames.INITIAL_WINDOW_SIZE: 1 << 30}))
    peer.http.receive(frames.window_update(0, 1 << 30))
    one = peer.call()
    rooms: list[int] = []
    one.on_room = lambda: rooms.append(peer.http.pending_bytes)
    sent = peer.http.send(one, memoryview(bytes(1 << 20)))
    assert sent <= connection.PENDING_BYTES
    peer.http.outgoing()
    assert rooms == [0]


def test_a_peer_says_how_many_calls_it_takes() -> None:
    peer = Peer(frames.settings({frames.MAX_CONCURRENT_STREAMS: 2}))
    one, _ = peer.call(), peer.call()
    assert not peer.http.has_room
    peer.http.receive(peer.headers(one.number, (*ANSWER, *WELL), end=True))
    assert peer.http.has_room


def test_windows_are_given_back_when_messages_are_taken() -> None:
    peer = Peer()
    one = peer.answered()
    message = prefixed(bytes(16_000))
    half = stream.WINDOW_BYTES // 2 // len(message) + 1
    for _ in range(half):
        peer.http.receive(data(one.number, message))
    assert not [each for each in peer.sent() if each[0] == frames.WINDOW_UPDATE]
    assert len(peer.http.take(one)) == half
    assert [each[2] for each in peer.sent()] == [one.number]
    assert one.window == stream.WINDOW_BYTES


def test_a_message_larger_than_the_window_comes_through() -> None:
    peer = Peer()
    one = peer.answered()
    for _ in range(3):
        large = prefixed(bytes(9 << 20))
        for start in range(0, len(large), 16_384):
            peer.http.receive(data(one.number, large[start : start + 16_384]))
            peer.http.outgoing()
        assert [len(each) for each in peer.http.take(one)] == [9 << 20]
    assert one.window >= stream.WINDOW_BYTES // 2


# -- how calls end ---------------------------------------------------------------------------

DETAILED = status(5, "of the details")
ENDS: list[tuple[str, dict[str, str], int, str]] = [
    ("plain", {"grpc-status": "0"}, 0, ""),
    ("percent", {"grpc-status": "2", "grpc-message": "50%25 %C3%A4 %zz"}, 2, "50% ä %zz"),
    ("none", {}, 13, "server closed the stream without sending trailers"),
    ("odd", {"grpc-status": "x1"}, 2, ""),
    ("huge", {"grpc-status": "9" * 5000}, 2, ""),
    (
        "details",
        {
            "grpc-status": "5",
            "grpc-message": "no",
            "grpc-status-details-bin": base64.b64encode(DETAILED.SerializeToString()).decode(),
        },
        5,
        "of the details",
    ),
    (
        "others' details",
        {
            "grpc-status": "2",
            "grpc-message": "no",
            "grpc-status-details-bin": base64.b64encode(DETAILED.SerializeToString()).decode(),
        },
        13,
        'grpc-status-details-bin mismatch: grpc-status=2, grpc-message="no"',
    ),
    (
        "broken details",
        {"grpc-status": "2", "grpc-message": "m", "grpc-status-details-bin": "/w"},
        2,
        "m",
    ),
    (
        "no base64",
        {"grpc-status": "2", "grpc-message": "m", "grpc-status-details-bin": "!"},
        2,
        "m",
    ),
]


@pytest.mark.parametrize(
    ("trailers", "code", "message"), [e[1:] for e in ENDS], ids=[e[0] for e in ENDS]
)
@pytest.mark.parametrize("only", [False, True])
def test_trailers(trailers: dict[str, str], code: int, message: str, only: bool) -> None:
    peer = Peer()
    one = peer.call() if only else peer.answered()
    block = (*ANSWER, *trailers.items()) if only else tuple(trailers.items())
    peer.http.receive(peer.headers(one.number, block, end=True))
    assert one.ended == status(code, message)


@pytest.mark.parametrize(
    ("code", "expected"),
    [(Code.CANCEL, 1), (Code.REFUSED_STREAM, 14), (Code.FLOW_CONTROL_ERROR, 8), (2, 13), (77, 2)],
)
def test_resets(code: int, expected: int) -> None:
    peer = Peer()
    one = peer.answered()
    reset = frame(frames.RST_STREAM, 0, one.number, frames.word.pack(code))
    peer.http.receive(reset + reset + data(one.number, b"late"))  # what comes late is passed over
    assert one.ended is not None
    assert one.ended.code == expected


@pytest.mark.parametrize(
    ("said", "code", "message"),
    [
        (b"\1\0\0\0\1x", 13, "grpc: compressed flag set with identity or empty encoding"),
        (b"\7\0\0\0\1x", 13, "grpc: received unexpected payload format 7"),
        (
            b"\0\1\0\0\1",
            8,
            "grpc: received message larger than max (16777217 vs. 16777216)",
        ),
    ],
)
def test_a_message_that_is_refused_ends_its_call_alone(
    said: bytes, code: int, message: str
) -> None:
    peer = Peer()
    one, other = peer.answered(), peer.answered()
    peer.http.receive(data(one.number, said))
    assert one.ended == status(code, message)
    peer.http.receive(data(other.number, prefixed(b"well")))
    assert peer.http.take(other) == [b"well"]


def test_a_message_that_is_cut_off() -> None:
    peer = Peer()
    one = peer.answered()
    peer.http.receive(data(one.number, prefixed(b"abc")[:-1]))
    peer.http.receive(peer.headers(one.number, WELL, end=True))
    assert one.ended == status(13, "unexpected EOF")


def test_goaway_ends_what_the_peer_has_not_seen() -> None:
    peer = Peer()
    one, two = peer.answered(), peer.answered()
    peer.http.receive(frames.goaway(one.number, Code.NO_ERROR, "enough"))
    assert (one.ended, two.ended) == (None, status(14, "the connection is draining"))
    assert peer.http.leaving
    peer.http.receive(data(one.number, prefixed(b"x")))
    assert peer.http.take(one) == [b"x"]


def test_a_call_that_nobody_waits_for_is_cancelled() -> None:
    peer = Peer()
    one = peer.answered()
    peer.http.forget(one)
    peer.http.forget(one)
    assert peer.sent() == [(frames.RST_STREAM, 0, one.number, frames.word.pack(Code.CANCEL))]
    peer.http.receive(data(one.number, prefixed(bytes(50))))
    assert peer.http.take(one) == []


# -- what is refused -------------------------------------------------------------------------

BIG = bytes(connection.FRAME_BYTES)
ATTACKS: dict[str, tuple[bytes, Code]] = {
    "no settings": (frame(frames.PING, 0, 0, bytes(8)), Code.PROTOCOL_ERROR),
    "http/1": (b"HTTP/1.1 400 Bad Request\r\n\r\n", Code.PROTOCOL_ERROR),
    "huge frame": (HELLO + frames.head.pack(0xFFFFFF << 8, 0, 1), Code.FRAME_SIZE_ERROR),
    "data of no stream": (HELLO + data(0, b"x"), Code.PROTOCOL_ERROR),
    "data of a stream to come": (HELLO + data(3, b"x"), Code.PROTOCOL_ERROR),
    "headers of its own": (HELLO + frame(frames.HEADERS, 4, 2, b"\x88"), Code.PROTOCOL_ERROR),
    "reset of nothing": (HELLO + frames.rst_stream(9, Code.CANCEL), Code.PROTOCOL_ERROR),
    "push": (HELLO + frame(frames.PUSH_PROMISE, 4, 1, bytes(5)), Code.PROTOCOL_ERROR),
    "continuation of nothing": (HELLO + frame(frames.CONTINUATION, 4, 1), Code.PROTOCOL_ERROR),
    "block not continued": (
        HELLO + frame(frames.HEADERS, 0, 1, b"\x88") + frame(frames.PING, 0, 0, bytes(8)),
        Code.PROTOCOL_ERROR,
    ),
    "data amid a block": (HELLO + frame(frames.HEADERS, 0, 1) + data(1, b"x"), Code.PROTOCOL_ERROR),
    "another stream's block": (
        HELLO + frame(frames.HEADERS, 0, 1, b"\x88") + frame(frames.CONTINUATION, 4, 3),
        Code.PROTOCOL_ERROR,
    ),
    "endless headers": (
        HELLO + frame(frames.HEADERS, 0, 1) + frame(frames.CONTINUATION, 0, 1, BIG) * 20,
        Code.ENHANCE_YOUR_CALM,
    ),
    "continuation flood": (
        HELLO + frame(frames.HEADERS, 0, 1) + frame(frames.CONTINUATION, 0, 1) * 200_000,
        Code.ENHANCE_YOUR_CALM,
    ),
    "no hpack": (
        HELLO + frame(frames.HEADERS, 4, 1, b"\xff\xff\xff\xff\xff\xff"),
        Code.COMPRESSION_ERROR,
    ),
    "hpack bomb": (
        HELLO
        + frame(frames.HEADERS, 4, 1, b"\x40\x01a\x7f\x81\x1e" + bytes(4000))
        + frame(frames.HEADERS, 4, 1, b"\xbe" * 60_000),
        Code.COMPRESSION_ERROR,
    ),
    "padding": (HELLO + data(1, b"\x09abc", frames.PADDED), Code.PROTOCOL_ERROR),
    "padding of nothing": (HELLO + data(1, b"", frames.PADDED), Code.PROTOCOL_ERROR),
    "cut priority": (HELLO + frame(frames.HEADERS, 0x24, 1, b"\0\0"), Code.FRAME_SIZE_ERROR),
    "settings flood": (HELLO * 20_000, Code.ENHANCE_YOUR_CALM),
    "ping flood": (HELLO + frame(frames.PING, 0, 0, bytes(8)) * 20_000, Code.ENHANCE_YOUR_CALM),
    "priority flood": (
        HELLO + frame(frames.PRIORITY, 0, 1, bytes(5)) * 20_000,
        Code.ENHANCE_YOUR_CALM,
    ),
    "reset flood": (HELLO + frames.rst_stream(1, Code.CANCEL) * 20_000, Code.ENHANCE_YOUR_CALM),
    "empty data flood": (HELLO + data(1, b"") * 20_000, Code.ENHANCE_YOUR_CALM),
    "window of nothing": (HELLO + frames.window_update(0, 0), Code.PROTOCOL_ERROR),
    "connection window overflow": (
        HELLO + frames.window_update(0, 2**31 - 1),
        Code.FLOW_CONTROL_ERROR,
    ),
    "stream window overflow": (HELLO + frames.window_update(1, 2**31 - 1), Code.FLOW_CONTROL_ERROR),
    "window by settings": (
        HELLO + frames.window_update(1, 2**31 - 70_000) + frames.settings({4: 2**30}),
        Code.FLOW_CONTROL_ERROR,
    ),
    "initial window": (frames.settings({4: 2**31}), Code.FLOW_CONTROL_ERROR),
    "frame size": (frames.settings({5: 16_383}), Code.PROTOCOL_ERROR),
    "push setting": (frames.settings({2: 1}), Code.PROTOCOL_ERROR),
    "settings of a stream": (frame(frames.SETTINGS, 0, 1), Code.PROTOCOL_ERROR),
    "cut settings": (frame(frames.SETTINGS, 0, 0, b"abc"), Code.FRAME_SIZE_ERROR),
    "ping size": (HELLO + frame(frames.PING, 0, 0, b"1"), Code.FRAME_SIZE_ERROR),
    "cut goaway": (HELLO + frame(frames.GOAWAY, 0, 0, b"1"), Code.FRAME_SIZE_ERROR),
    "cut window": (HELLO + frame(frames.WINDOW_UPDATE, 0, 0, b"1"), Code.FRAME_SIZE_ERROR),
}  # fmt: skip


@pytest.mark.parametrize("name", ATTACKS)
def test_what_no_peer_may_do_ends_the_connection(name: str) -> None:
    said, code = ATTACKS[name]
    http = ClientConnection()
    one = http.open(((":method", "POST"),))
    http.outgoing()
    pieces = (said[start : start + 50_000] for start in range(0, len(said), 50_000))
    with pytest.raises(ConnectionBroken) as caught:
        feed(http, pieces)
    assert caught.value.code is code
    assert one.ended is not None
    last = list(parsed(http.outgoing()))[-1]
    assert (last[0], frames.word.unpack_from(last[3], 4)[0]) == (frames.GOAWAY, code)


def test_more_than_the_window_is_refused_and_no_more_is_kept() -> None:
    peer = Peer()
    one = peer.answered()
    piece = data(one.number, prefixed(bytes(60_000)))
    tracemalloc.start()
    with pytest.raises(ConnectionBroken, match="window"):
        feed(peer.http, itertools.repeat(piece))
    held_bytes = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert held_bytes < 2 * stream.WINDOW_BYTES
