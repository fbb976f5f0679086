"""Clients that write HTTP/2 by hand and do what no client may: the daemon says so, keeps little,
and serves the others meanwhile."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
from hpack import Decoder, Encoder

from croze.api import control_pb2
from croze.rpc.http2 import frames
from croze.rpc.http2.blocks import header_block, header_frames
from croze.rpc.http2.frames import frame
from croze.rpc.http2.messages import prefixed
from tests.e2e.sandbox import Sandbox
from tests.e2e.watched import resident_kb
from tests.support.waiting import PATIENCE_S

ROOM_KB = 64 << 10
EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
MOST_BYTES = 12 << 20


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with Sandbox(tmp_path_factory.mktemp("hostile")).running() as made:
        yield made


class Raw:
    """A connection, with what the daemon says on it."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._encoder, self._decoder = Encoder(), Decoder()
        self._rest = b""
        self.said: list[tuple[int, int, bytes]] = []
        """Kind, stream and payload of frames."""
        self.credit: dict[int, int] = {0: frames.DEFAULT_WINDOW}
        self._initial = frames.DEFAULT_WINDOW

    def send(self, said: bytes) -> None:
        self._sock.sendall(said)

    def begin(self, number: int, id: str) -> None:
        """Open a session."""
        headers = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", "/moby.buildkit.v1.Control/Session"),
            (":authority", "localhost"),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
            ("x-docker-expose-session-uuid", id),
        ]
        self.credit[number] = self._initial
        self.send(header_frames(number, self._encoder.encode(headers), 16_384))

    def hear(self) -> bool:
        """More of what the daemon says; False at the end."""
        with suppress(ConnectionResetError):
            data = self._sock.recv(1 << 16)
            self._rest += data
            while len(self._rest) >= frames.HEAD_BYTES:
                length_kind, _, number = frames.head.unpack_from(self._rest)
                end = frames.HEAD_BYTES + (length_kind >> 8)
                if end > len(self._rest):
                    break
                self._heard(length_kind & 0xFF, number, self._rest[frames.HEAD_BYTES : end])
                self._rest = self._rest[end:]
            return bool(data)
        return False

    def _heard(self, kind: int, number: int, payload: bytes) -> None:
        self.said.append((kind, number, payload))
        if kind == frames.SETTINGS:
            found = dict(frames.setting.iter_unpack(payload))
            self._initial = found.get(frames.INITIAL_WINDOW_SIZE, self._initial)
        if kind == frames.WINDOW_UPDATE:
            self.credit[number] = self.credit.get(number, 0) + frames.word.unpack(payload)[0]

    def trailers(self, number: int) -> dict[str, str]:
        """Of a call, once it has ended."""
        found: list[dict[str, str]] = []
        while len(found) < 2:
            blocks = [p for kind, n, p in self.said if (kind, n) == (frames.HEADERS, number)]
            if len(blocks) == 2:
                found = [{str(k): str(v) for k, v in self._decoder.decode(b)} for b in blocks]
            elif not self.hear():
                raise AssertionError(f"no trailers: {self.said[-3:]}")
        return found[1]

    def data(self, number: int, inner: bytes) -> None:
        """Bytes of a session, as the windows allow; raises `BrokenPipeError` when it has ended."""
        remaining = prefixed(control_pb2.BytesMessage(data=inner).SerializeToString())
        while remaining:
            room = min(16_384, self.credit[0], self.credit[number], len(remaining))
            if room <= 0:
                if not self.hear() or self.ended(number):
                    raise BrokenPipeError
                continue
            self.send(frame(frames.DATA, 0, number, remaining[:room]))
            self.credit[0] -= room
            self.credit[number] -= room
            remaining = remaining[room:]

    def flood(self, pieces: Iterator[bytes]) -> None:
        """Until that is enough, or the daemon hangs up or takes no more."""
        self._sock.settimeout(0.5)  # the daemon stops to listen
        sent = 0
        with suppress(OSError):
            while sent < MOST_BYTES and (said := next(pieces, b"")):
                self.send(said)
                sent += len(said)

    def ended(self, number: int) -> bool:
        headers = [1 for kind, n, _ in self.said if (kind, n) == (frames.HEADERS, number)]
        resets = [1 for kind, n, _ in self.said if (kind, n) == (frames.RST_STREAM, number)]
        return len(headers) > 1 or bool(resets)


@contextmanager
def connected(daemon: Sandbox) -> Iterator[Raw]:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(PATIENCE_S)
        sock.connect(str(daemon.socket))
        raw = Raw(sock)
        raw.send(frames.PREFACE + frames.settings({}))
        while not raw.said:
            raw.hear()
        yield raw


HELLO = frames.settings({})
INSIDE: dict[str, tuple[Callable[[], Iterable[bytes]], str]] = {
    "no HTTP/2": (
        lambda: [b"GET / HTTP/1.1\r\n\r\n"],
        'the peer does not speak it, but says "GET / HTTP/1.1"',
    ),
    "endless headers": (
        lambda: itertools.chain(
            [HELLO], itertools.repeat(frame(frames.CONTINUATION, 0, 1, bytes(9000)))
        ),
        "there is no header block to continue",
    ),
    "a stream that nobody opened": (
        lambda: [HELLO, frame(frames.HEADERS, 0, 1, b"\x88")],
        "stream 1 is not open",
    ),
    "settings": (
        lambda: itertools.repeat(HELLO * 1000),
        "too many frames that want an answer",
    ),
    "frames of no kind": (
        lambda: itertools.chain([HELLO], itertools.repeat(frame(0x99, 0, 0) * 1000)),
        "too many frames that say nothing",
    ),
    "a window beyond all bounds": (
        lambda: [HELLO, frames.window_update(0, 2**31 - 1)],
        "a window beyond all bounds",
    ),
}


@pytest.mark.parametrize("name", INSIDE)
def test_what_no_session_may_hold(daemon: Sandbox, name: str) -> None:
    said, told = INSIDE[name]
    with connected(daemon) as raw:
        raw.begin(1, "hostile")
        with suppress(BrokenPipeError):
            sent = 0
            for inner in said():
                raw.data(1, inner)
                sent += len(inner)
                assert sent < MOST_BYTES
        trailers = raw.trailers(1)
    assert trailers["grpc-status"] == "2"
    assert trailers["grpc-message"] == f"invalid HTTP/2 in a session: {told}"


def pings() -> Iterator[bytes]:
    yield from itertools.repeat(frame(frames.PING, 0, 0, bytes(8)) * 1000)


def windows() -> Iterator[bytes]:
    for _ in range(400):
        yield frames.window_update(1, 1) * 1000


def endless_headers() -> Iterator[bytes]:
    yield frame(frames.HEADERS, 0, 3, bytes(10))
    yield from itertools.repeat(frame(frames.CONTINUATION, 0, 3, bytes(16_000)))


def empty_data() -> Iterator[bytes]:
    for _ in range(400):
        yield frame(frames.DATA, 0, 1) * 1000


def beyond_the_window() -> Iterator[bytes]:
    yield from itertools.repeat(frame(frames.DATA, 0, 1, prefixed(bytes(16_000))))


def torn_messages() -> Iterator[bytes]:
    yield frame(frames.DATA, 0, 1, prefixed(bytes(15_000_000))[:5])
    for _ in range(300):
        yield frame(frames.DATA, 0, 1, b"x") * 1000


def ghosts() -> Iterator[bytes]:
    """Calls with numbers that the server passes over without a word."""
    yield from calls(range(4, 60_000, 2))


def calls(numbers: Iterable[int]) -> Iterator[bytes]:
    encoder = Encoder()
    for number in numbers:
        headers = [
            (":method", "POST"),
            (":path", "/moby.buildkit.v1.Control/Session"),
            ("content-type", "application/grpc"),
            ("x-docker-expose-session-uuid", f"reset{number}"),
        ]
        yield header_frames(number, encoder.encode(headers), 16_384)


def bombs() -> Iterator[bytes]:
    """Calls that never go on, each with headers of a quarter of a megabyte in sixty bytes."""
    plain = header_block(
        [
            (":method", "POST"),
            (":path", "/moby.buildkit.v1.Control/DiskUsage"),
            ("content-type", "application/grpc"),
        ]
    )
    large = b"\x40\x01k\x7f\xa1\x1e" + b"x" * 4000  # into the table, as its newest entry
    yield header_frames(3, plain + large, 16_384)
    for number in range(5, 8_000, 2):
        yield header_frames(number, plain + b"\xbe" * 60, 16_384)


def resets() -> Iterator[bytes]:
    numbers = range(3, 6_000, 2)
    for number, call in zip(numbers, calls(numbers), strict=True):
        yield call + frames.rst_stream(number, frames.Code.CANCEL)


@pytest.mark.parametrize(
    "attack",
    [
        pings,
        windows,
        endless_headers,
        empty_data,
        beyond_the_window,
        torn_messages,
        resets,
        ghosts,
        bombs,
    ],
)
def test_floods_beside_a_session(daemon: Sandbox, attack: Callable[[], Iterator[bytes]]) -> None:
    """Of a client that never reads: what it sends is refused, or not taken any more."""
    assert daemon.daemon is not None
    before = resident_kb(daemon.daemon.pid)
    with connected(daemon) as raw:
        raw.begin(1, "hostile")
        raw.data(1, HELLO)
        raw.flood(attack())
        daemon.croze("du")
        assert resident_kb(daemon.daemon.pid) - before < ROOM_KB


def test_spans_that_never_come_whole(daemon: Sandbox) -> None:
    """Any step of a build may hand some in, on as many connections as it likes."""
    cut = prefixed(bytes(4 << 20))[: 1900 << 10]
    call = [(":method", "POST"), (":path", EXPORT), ("content-type", "application/grpc")]
    with ExitStack() as stack:
        for _ in range(3):
            sock = stack.enter_context(socket.socket(socket.AF_UNIX))
            sock.settimeout(PATIENCE_S)
            sock.connect(str(daemon.root / "otel-grpc.sock"))
            raw, encoder = Raw(sock), Encoder()
            raw.send(frames.PREFACE + frames.settings({}))
            for number in range(1, 33, 2):
                raw.send(header_frames(number, encoder.encode(call), 16_384))
                for at in range(0, len(cut), 16_000):
                    raw.send(frame(frames.DATA, 0, number, cut[at : at + 16_000]))
        while not any(b"too many large messages" in payload for *_, payload in raw.said):
            assert raw.hear()


def test_the_daemon_stops_though_somebody_reads_nothing(tmp_path: Path) -> None:
    with Sandbox(tmp_path).running() as own, connected(own) as raw:
        raw.begin(1, "hostile")
        raw.data(1, HELLO)
        raw.flood(pings())
        assert own.stop() == 0, own.log_text()


def test_what_the_daemon_is_left_with(daemon: Sandbox, tmp_path: Path) -> None:
    """After all that it builds."""
    context = daemon.context("after", {"Dockerfile": "FROM scratch\nCOPY f /\n", "f": "x"})
    daemon.croze("build", "-o", f"type=local,dest={tmp_path}/out", context)
    assert (tmp_path / "out/f").read_text() == "x"
