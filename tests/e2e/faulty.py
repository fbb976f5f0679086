"""A registry that misbehaves as it is told, in front of a real one."""

from __future__ import annotations

import contextlib
import http.client
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Final

from tests.support.waiting import PATIENCE_S
from tests.support.web_server import answering

PIECE: Final = 64 << 10


@dataclass
class Fault:
    """What to do instead of answering well, `times` times, where the method and path fit.

    `what`: a status, or `reset` (no answer, connection reset), `truncate` (half of the body),
    `corrupt` (a body of the right length with one wrong byte), `stall` (half of the body, then
    nothing for ever)."""

    what: str
    method: str = "GET"
    path: str = "/blobs/"
    times: int = 1


@dataclass
class Faulty:
    """`host` is where it listens. Faults may be added and cleared at any time."""

    upstream: str
    host: str = ""
    faults: list[Fault] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    """`METHOD path` of all requests."""
    stalled: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def next_fault(self, method: str, path: str) -> str:
        with self._lock:
            self.seen.append(f"{method} {path}")
            for fault in self.faults:
                if fault.times and fault.method == method and fault.path in path:
                    fault.times -= 1
                    return fault.what
        return ""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    faulty: Faulty

    def log_message(self, format: str, *args: object) -> None:
        pass

    def handle_one_request(self) -> None:
        with contextlib.suppress(ConnectionError):
            super().handle_one_request()

    def _serve(self) -> None:
        what = self.faulty.next_fault(self.command, self.path)
        body = (
            self.rfile.read(int(self.headers.get("Content-Length", 0))) if what != "reset" else b""
        )
        if what == "reset":
            self._reset()
        elif what.isdecimal():
            self.send_response(int(what))
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self._forward(what, body)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = _serve

    def _reset(self) -> None:
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.connection.close()
        self.close_connection = True

    def _forward(self, what: str, body: bytes) -> None:
        upstream = http.client.HTTPConnection(self.faulty.upstream, timeout=PATIENCE_S)
        headers = {k: v for k, v in self.headers.items() if k.lower() != "host"}
        upstream.request(self.command, self.path, body, {**headers, "Host": self.faulty.host})
        answer = upstream.getresponse()
        data = answer.read()
        upstream.close()
        self.send_response(answer.status)
        for key, value in answer.getheaders():
            self.send_header(key, value)
        self.end_headers()
        self._send(what, data)

    def _send(self, what: str, data: bytes) -> None:
        if what == "corrupt":
            data = data[:-1] + bytes([data[-1] ^ 1])
        if what not in ("truncate", "stall"):
            self.wfile.write(data)
            return
        self.wfile.write(data[: len(data) // 2])
        if what == "stall":
            self.faulty.stalled.set()
            self.faulty.over.wait()
        self.close_connection = True


@contextlib.contextmanager
def faulty_registry(upstream: str) -> Iterator[Faulty]:
    """In a thread of its own, in front of `upstream` (`host:port`)."""
    made = Faulty(upstream)
    handler = type("Handler", (_Handler,), {"faulty": made})
    with answering(handler) as url:
        made.host = url.removeprefix("http://")
        try:
            yield made
        finally:
            made.over.set()
