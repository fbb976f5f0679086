"""The server's side of HTTP/2, with a scripted peer: what it takes, answers, refuses and keeps."""

from __future__ import annotations

import itertools
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterable, Iterator

import pytest
from hpack import Decoder, Encoder

from croze.rpc.call import ServerCall
from croze.rpc.http2 import connection, frames, stream
from croze.rpc.http2.blocks import header_frames
from croze.rpc.http2.frames import Code, ConnectionBroken, frame
from croze.rpc.http2.messages import Packed, StreamBroken, prefixed
from croze.rpc.http2.server import ANSWERS_BYTES, Allowance, ServerConnection, ServerStream
from croze.rpc.limits import MESSAGE_LIMIT_BYTES
from croze.rpc.status import status
from tests.rpc.raw_frames import data, parsed
from tests.rpc.scripted_client import CALL, HELLO, Peer


def decoded(block: bytes) -> dict[str, str]:
    return {str(key): str(value) for key, value in Decoder().decode(block)}


END = frames.END_HEADERS | frames.END_STREAM


def test_a_call_from_its_headers_to_its_trailers() -> None:
    peer = Peer()
    call = peer.call(k="v")
    assert dict(call.headers)["k"] == "v"
    peer.http.receive(data(1, prefixed(b"one", b"two")[:-1]) + data(1, b"o", frames.END_STREAM))
    assert call.heard_all
    assert peer.http.take(call) == [b"one", b"two"]
    peer.http.answer(call, (("x-more", "1"),))
    assert peer.http.send(call, memoryview(prefixed(b"three"))) == 10
    peer.http.finish(call, status(0))
    first, *_, last = sent = peer.sent()
    assert [kind for kind, *_ in sent] == [frames.HEADERS, frames.DATA, frames.HEADERS]
    assert decoded(first[3])["x-more"] == "1"
    assert (last[1], decoded(last[3])) == (END, {"grpc-status": "0"})
    assert not peer.cancelled


def test_an_answer_that_is_nothing_but_an_error() -> None:
    peer = Peer()
    call = peer.call()
    more = (("grpc-status-details-bin", "AAA"),)
    peer.http.finish(call, status(5, "nö%\n"), more)
    peer.http.finish(call, status(0))  # once
    sent = peer.sent()
    assert [each[:3] for each in sent] == [(frames.HEADERS, END, 1), (frames.RST_STREAM, 0, 1)]
    assert decoded(sent[0][3]) == {
        ":status": "200",
        "content-type": "application/grpc",
        "grpc-status": "5",
        "grpc-message": "n%C3%B6%25%0A",
        "grpc-status-details-bin": "AAA",
    }
    peer.http.receive(data(1, prefixed(bytes(90))) + frames.window_update(1, 5))  # comes late


@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize("most", [0, 400, 600, 2000, 8192, 32768])
def test_a_peer_gets_of_an_error_what_it_takes(most: int, begun: bool) -> None:
    """Of a longer list grpcio takes nothing, not even the status; of one half as long, at times."""
    peer = Peer()
    peer.http.receive(frames.settings({frames.MAX_HEADER_LIST_SIZE: most}))
    call = peer.call()
    if begun:
        peer.http.answer(call)
    peer.sent()
    more = (("a-bin", "A" * 9_000), ("b-bin", "B" * 90))
    peer.http.finish(call, status(5, "né" * 300), more)
    told = decoded(peer.sent()[0][3])
    assert told["grpc-status"] == "5"
    size = sum(len(name) + len(value) + 32 for name, value in told.items())
    assert size <= max(most // 2, 200)
    message = "n%C3%A9" * 300
    assert message.startswith(told["grpc-message"])
    assert not told["grpc-message"].endswith(("%", "%C", "%A"))
    assert ("a-bin" in told) == (most == 32768)
    assert (told["grpc-message"] == message) == (most >= 8192)


def test_what_is_no_call_of_grpc() -> None:
    peer = Peer()
    peer.http.receive(peer.headers(1, {**CALL, ":method": "GET"}, end=True))
    peer.http.receive(peer.headers(3, {**CALL, "content-type": "text/html"}, end=True))
    assert [(n, h[":status"]) for _, n, h in peer.told()] == [(1, "405"), (3, "415")]
    assert not peer.calls


def test_a_call_that_the_peer_gives_up() -> None:
    peer = Peer()
    call = peer.call()
    peer.http.receive(frames.rst_stream(1, Code.CANCEL))
    assert (peer.cancelled, call.ended) == ([1], status(1, "context canceled"))
    peer.http.answer(call)
    peer.http.finish(call, status(0))
    assert peer.sent() == []


def test_calls_end_with_the_connection() -> None:
    peer = Peer()
    peer.call()
    peer.http.close("gone")
    assert peer.cancelled == [1]


def test_a_message_that_is_refused_ends_its_call_alone() -> None:
    peer = Peer()
    one, other = peer.call(1), peer.call(3)
    peer.http.receive(data(1, b"\1\0\0\0\1x"))
    assert (peer.cancelled, one.ended is None, other.ended) == ([1], False, None)
    ((_, number, headers),) = peer.told()
    assert (number, headers["grpc-status"]) == (1, "13")
    told = "grpc: compressed flag set with identity or empty encoding"
    assert headers["grpc-message"] == told


def test_a_message_in_an_encoding_that_nobody_knows() -> None:
    peer = Peer()
    peer.http.receive(peer.headers(1, {**CALL, "grpc-encoding": "snappy"}))
    assert peer.calls == []
    ((_, number, headers),) = peer.told()
    assert (number, headers["grpc-status"]) == (1, "12")
    told = 'grpc: Decompressor is not installed for grpc-encoding "snappy"'
    assert headers["grpc-message"] == told


def test_messages_that_are_compressed() -> None:
    peer = Peer()
    peer.http.receive(peer.headers(1, {**CALL, "grpc-encoding": "gzip"}))
    (call,) = peer.calls
    packer = zlib.compressobj(wbits=31)
    packed = packer.compress(b"x" * 5000) + packer.flush()
    message = prefixed(packed)
    peer.http.receive(data(1, b"\1" + message[1:] + prefixed(b"plain")))
    first, second = peer.http.take(call)
    assert isinstance(first, Packed)
    assert (first.inflated(), second) == (b"x" * 5000, b"plain")
    with pytest.raises(StreamBroken, match="failed to decompress"):
        Packed(b"no").inflated()
    with pytest.raises(StreamBroken, match="larger than max"):
        Packed(zlib.compress(bytes(17 << 20))).inflated()


async def test_what_is_compressed_is_unpacked_little_by_little() -> None:
    """A kilobyte of a message may stand for a megabyte."""
    peer = Peer()
    peer.http.receive(peer.headers(1, {**CALL, "grpc-encoding": "gzip"}))
    packer = zlib.compressobj(wbits=31)
    message = prefixed(packer.compress(bytes(1 << 20)) + packer.flush())
    peer.http.receive(b"".join(data(1, b"\1" + message[1:]) for _ in range(60)))
    peer.http.receive(data(1, prefixed(b"plain"), frames.END_STREAM))
    call = ServerCall(peer.http, peer.calls[0], lambda: None, None)
    sizes = []
    while batch := await call.receive():
        sizes.append(sum(map(len, batch)))
    assert max(sizes) == MESSAGE_LIMIT_BYTES
    assert sum(sizes) == (60 << 20) + len("plain")


def test_so_many_calls_at_once() -> None:
    peer = Peer(streams=2)
    for number in (1, 3, 5):
        peer.call(number)
    assert [call.number for call in peer.calls] == [1, 3]
    refused = (frames.RST_STREAM, 0, 5, frames.word.pack(Code.REFUSED_STREAM))
    assert peer.sent() == [refused]
    peer.http.finish(peer.calls[0], status(0))
    assert peer.call(7).number == 7


def test_a_server_that_leaves() -> None:
    peer = Peer()
    call = peer.call(5)
    peer.http.go_away()
    peer.call(7)
    kinds = [(kind, number, payload[:4]) for kind, _, number, payload in peer.sent()]
    assert kinds == [
        (frames.GOAWAY, 0, frames.word.pack(5)),
        (frames.RST_STREAM, 7, frames.word.pack(Code.REFUSED_STREAM)),
    ]
    peer.http.finish(call, status(0))
    assert peer.told()[0][1] == 5


def test_what_nobody_takes_is_bounded_over_all_calls() -> None:
    peer = Peer()
    piece = data(0, prefixed(bytes(16_000)))
    tracemalloc.start()

    def flood() -> None:
        for number in itertools.count(1, 2):
            peer.call(number)
            peer.http.receive((piece[:5] + frames.word.pack(number) + piece[9:]) * 250)

    with pytest.raises(ConnectionBroken, match="more data than the window allows"):
        flood()
    held_bytes = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert held_bytes < 3 * connection.CONNECTION_WINDOW_BYTES


def test_the_peer_may_send_as_much_as_is_taken() -> None:
    peer = Peer()
    for number in range(1, 99, 2):
        call = peer.call(number)
        peer.http.receive(data(number, prefixed(bytes(16_000))) * 250)
        if number % 3:
            assert len(peer.http.take(call)) == 250
            peer.http.finish(call, status(0))
        else:
            peer.http.receive(frames.rst_stream(number, Code.CANCEL))
    assert any(kind == frames.WINDOW_UPDATE and not n for kind, _, n, _ in peer.sent())


def test_large_messages_that_come_side_by_side_all_have_room() -> None:
    peer = Peer()
    numbers, size = range(1, 9, 2), 15 << 20
    for number in numbers:
        peer.call(number)
    message = prefixed(bytes(size))
    for start in range(0, len(message), 16_000):
        piece = message[start : start + 16_000]
        peer.http.receive(b"".join(data(number, piece) for number in numbers))
    assert [list(map(len, peer.http.take(call))) for call in peer.calls] == [[size]] * 4


def test_small_frames_of_many_calls_cost_little_when_much_is_unread() -> None:
    """Each would have been looked for among all calls: seconds for each read of a socket."""
    peer, numbers = Peer(streams=5000), range(1, 8001, 2)
    for number in numbers:
        peer.call(number)
    peer.http.receive(b"".join(data(number, prefixed(bytes(9_000))[:8_900]) for number in numbers))
    last = numbers[-1]
    peer.http.receive(data(last, bytes(105)))
    assert [call.number for call in peer.calls if call.incoming.whole] == [last]
    large = peer.call(last + 2)
    begun = prefixed(bytes(MESSAGE_LIMIT_BYTES))
    for start in range(0, 15 << 20, 60_000):
        peer.http.receive(data(large.number, begun[start : start + 60_000]))
    small = b"".join(data(number, b"x") for number in numbers[:-1]) * 5
    begun_s = time.process_time()
    peer.http.receive(small)
    assert time.process_time() - begun_s < 1


def test_messages_that_never_come_whole_are_bounded_over_all_calls() -> None:
    peer = Peer(allowance=Allowance(100_000))
    for number in range(1, 17, 2):
        peer.call(number)
        peer.http.receive(data(number, prefixed(bytes(20_000))[:16_000]))
    assert peer.cancelled == [13, 15]
    told = [t for _, _, t in peer.told()]
    assert [t["grpc-message"] for t in told] == [
        "too many large messages at once on a connection"
    ] * 2


def test_several_connections_may_have_one_allowance() -> None:
    """What each has had is free for the others when it is taken, given up, or broken off."""
    allowance = Allowance(40_000)
    one, other = Peer(allowance=allowance), Peer(allowance=allowance)
    cut = prefixed(bytes(20_000))[:16_000]
    for peer, number in ((one, 1), (one, 3), (other, 1)):
        peer.call(number)
        peer.http.receive(data(number, cut))
    assert (one.cancelled, other.cancelled) == ([], [1])
    stream = one.call(5)
    one.http.receive(data(5, prefixed(bytes(5_000))))
    one.http.receive(frames.rst_stream(5, Code.CANCEL))
    assert len(one.http.take(stream)) == 1
    assert allowance.used_bytes == 32_000 + 2 * one.calls[0].headers_bytes
    one.http.close("gone")
    assert allowance.used_bytes == 0


def calls(numbers: Iterable[int]) -> Iterator[bytes]:
    block = Encoder().encode({**CALL, "new": "x" * 50}.items(), huffman=False)
    for number in numbers:
        yield header_frames(number, block if number == 1 else b"\x82\x86", 16_384)


ATTACKS: dict[str, tuple[Callable[[], Iterable[bytes]], str]] = {
    "http/1": (lambda: [b"GET / HTTP/1.1\r\n\r\n"], "it does not begin with the preface"),
    "no settings": (lambda: [frames.PREFACE + frame(frames.PING, 0, 0, bytes(8))], "SETTINGS"),
    "a number of ours": (lambda: [HELLO, *calls([2])], "stream 2 is not a client's"),
    "no number": (lambda: [HELLO, *calls([0])], "stream 0 is not a client's"),
    "an old number": (lambda: [HELLO, *calls([5]), *calls([3])], "headers of stream 3"),
    "data of a stream to come": (lambda: [HELLO, data(7, b"x")], "stream 7 is not open"),
    "trailers that end nothing": (lambda: [HELLO, *calls([1]), *calls([1])], "trailers"),
    "push": (lambda: [HELLO, frame(frames.PUSH_PROMISE, 4, 1)], "nothing may be pushed"),
    "endless headers": (
        lambda: [HELLO, frame(frames.HEADERS, 0, 1), *[frame(frames.CONTINUATION, 0, 1)] * 40_000],
        "headers that do not end",
    ),
    "calls that are given up": (
        lambda: itertools.chain(
            [HELLO],
            (each + frames.rst_stream(n, Code.CANCEL) for n in range(1, 99_999, 2)
             for each in calls([n])),
        ),
        "too many frames that say nothing",
    ),
    "calls, and calls": (
        lambda: itertools.chain([HELLO], calls(range(1, 99_999, 2))),
        "too many frames that",
    ),
    "pings": (
        lambda: [HELLO, frame(frames.PING, 0, 0, bytes(8)) * 20_000],
        "too many frames that want an answer",
    ),
    "a window beyond all bounds": (
        lambda: [HELLO, frames.window_update(0, 2**31 - 1)],
        "a window beyond all bounds",
    ),
}  # fmt: skip


def test_answers_that_nobody_reads_are_bounded() -> None:
    """A call takes ten bytes, and the answer that there is no such service as much as its name."""

    def refuse(call: ServerStream) -> None:
        http.finish(call, status(12, "unknown service " + "x" * 4000))

    http, encoder = ServerConnection(refuse), Encoder()
    said = (
        header_frames(number, encoder.encode(CALL.items()), 16_384) for number in range(1, 9_999, 2)
    )
    with pytest.raises(ConnectionBroken, match="too many answers that nobody reads"):
        feed(http, itertools.chain([HELLO], said))
    assert http.pending_bytes < 2 * ANSWERS_BYTES


def feed(http: ServerConnection, pieces: Iterable[bytes]) -> None:
    for piece in pieces:
        http.receive(piece)


@pytest.mark.parametrize("name", ATTACKS)
def test_what_no_peer_may_do_ends_the_connection(name: str) -> None:
    said, told = ATTACKS[name]
    http = ServerConnection(lambda _: None)
    http.outgoing()
    with pytest.raises(ConnectionBroken, match=told):
        feed(http, said())
    last = list(parsed(http.outgoing()))[-1]
    assert last[0] == frames.GOAWAY
    assert http.pending_bytes < stream.WINDOW_BYTES
