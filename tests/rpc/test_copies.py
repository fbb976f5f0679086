"""How often bytes are copied on their way, and what a frame costs: half a gigabyte of a context
comes through here, or some ten thousand files."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager

from hpack import Encoder

from croze.rpc.client_call import ClientCall
from croze.rpc.http2 import frames
from croze.rpc.http2.blocks import header_frames
from croze.rpc.http2.client import ClientConnection, ClientStream
from croze.rpc.http2.connection import PENDING_BYTES
from croze.rpc.http2.messages import prefixed
from croze.rpc.http2.stream import nothing
from tests.rpc import scripted_client
from tests.rpc.raw_frames import data, parsed
from tests.support.work import calls_of

ANSWER = ((":status", "200"), ("content-type", "application/grpc"))
ROOM = frames.settings({frames.INITIAL_WINDOW_SIZE: 1 << 30}) + frames.window_update(0, 1 << 30)


def opened() -> tuple[ClientConnection, ClientStream]:
    http = ClientConnection()
    http.receive(ROOM)
    stream = http.open(((":method", "POST"), (":path", "/a/b")))
    http.outgoing()
    http.receive(header_frames(stream.number, Encoder().encode(ANSWER), 16_384))
    return http, stream


class Allocated:
    """Bytes: the most that was there at once, and what is there at the end."""

    most = left = 0


@contextmanager
def allocated() -> Iterator[Allocated]:
    """What is allocated inside."""
    found = Allocated()
    tracemalloc.start()
    try:
        yield found
        found.left, found.most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()


def test_messages_in_several_frames_are_put_together_once() -> None:
    http, stream = opened()
    messages = [bytes([number]) * 32_000 for number in range(8)]
    said = prefixed(*messages)
    said = b"".join(
        data(stream.number, said[start : start + 16_384]) for start in range(0, len(said), 16_384)
    )
    with allocated() as found:
        http.receive(said)
    assert stream.take() == messages
    assert found.most < len(said) * 1.2


def test_a_message_in_a_frame_costs_a_few_calls() -> None:
    """Each file of a tree is one, or two."""

    def cost(count: int) -> int:
        http, stream = opened()
        said = b"".join(data(stream.number, prefixed(bytes(3000))) for _ in range(count))
        calls = calls_of(lambda: http.receive(said))
        assert stream.take() == [bytes(3000)] * count
        return calls

    assert cost(200) - cost(100) <= 5 * 100


def test_of_a_message_that_is_cut_off_no_more_is_kept_than_it_has() -> None:
    """Not what it came in."""
    http, stream = opened()
    whole, cut = prefixed(bytes(200_000)), prefixed(bytes(50_000))[:20_000]
    said = b"".join(
        data(stream.number, (whole + cut)[start : start + 16_384])
        for start in range(0, len(whole) + len(cut), 16_384)
    )
    with allocated() as found:
        http.receive(said)
        stream.take()
    assert found.left < 40_000


async def test_what_is_sent_in_pieces_is_copied_when_it_is_written() -> None:
    http, stream = opened()
    call, content = ClientCall(http, stream, nothing), bytes(200_000)
    with allocated() as found:
        await call.send_pieces(b"head", content)
    assert found.most < 40_000
    payloads = [payload for kind, _, _, payload in parsed(http.outgoing()) if kind == frames.DATA]
    assert b"".join(payloads) == prefixed(b"head" + content)


async def test_a_small_message_goes_in_one_frame() -> None:
    http, stream = opened()
    await ClientCall(http, stream, nothing).send_pieces(b"head", b"content")
    assert [kind for kind, *_ in parsed(http.outgoing())] == [frames.DATA]


def test_a_server_takes_all_at_once_that_waits_in_a_tunnel() -> None:
    peer = scripted_client.Peer(frames.PREFACE + ROOM)
    inner = PENDING_BYTES + 2 * frames.DEFAULT_FRAME  # with heads of frames, and more
    assert peer.http.send(peer.call(), memoryview(bytes(inner))) == inner
    assert not peer.http.is_full
