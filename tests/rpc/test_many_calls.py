"""What a peer has us keep and do for all of its calls together: a few bytes stand for little."""

from __future__ import annotations

import time

from croze.rpc.http2 import frames
from croze.rpc.http2.blocks import header_block, header_frames
from croze.rpc.http2.frames import Code, frame
from croze.rpc.http2.server import HEADERS_BYTES
from tests.rpc.scripted_client import CALL, Peer


def test_headers_of_calls_are_bounded_over_all_of_them() -> None:
    """One of a quarter of a megabyte may come as sixty bytes, and is kept as long as its call."""
    peer, plain = Peer(streams=2000), header_block(CALL.items())
    large = b"\x40\x01k\x7f\xa1\x1e" + b"x" * 4000  # into the table, as its newest entry
    peer.http.receive(header_frames(1, plain + large, 16_384))
    for number in range(3, 3_000, 2):
        peer.http.receive(header_frames(number, plain + b"\xbe" * 60, 16_384))
    assert dict(peer.calls[-1].headers)["k"] == "x" * 4000
    held_bytes = sum(len(value) for call in peer.calls for _, value in call.headers)
    assert HEADERS_BYTES // 2 < held_bytes < HEADERS_BYTES
    assert {told["grpc-status"] for _, _, told in peer.told()} == {"8"}
    peer.http.receive(frames.rst_stream(1, Code.CANCEL) + frames.rst_stream(3, Code.CANCEL))
    assert peer.call(3_001).number == 3_001


def test_what_is_said_of_all_calls_costs_the_same_however_many_there_are() -> None:
    """A few kilobytes of settings and windows were work for seconds."""
    peer = Peer(streams=5000)
    for number in range(1, 8001, 2):
        peer.call(number)
    rooms: list[int] = []
    peer.calls[0].on_room = lambda: rooms.append(1)
    setting = frames.setting.pack(frames.INITIAL_WINDOW_SIZE, 100_000)
    begun_s = time.process_time()
    peer.http.receive(frame(frames.SETTINGS, 0, 0, setting * 2000) * 2)
    peer.http.receive(frames.settings({}) * 1000 + frames.window_update(0, 1) * 1000)
    assert time.process_time() - begun_s < 0.5
    assert len(rooms) == 2
    assert peer.http.send(peer.calls[0], memoryview(bytes(200_000))) == 66_535
