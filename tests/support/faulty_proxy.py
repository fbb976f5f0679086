"""A server in between that now and then does what servers do when they are ill, or ill-disposed."""

from __future__ import annotations

import contextlib
import http.client
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Literal

from croze.http.urls import parse_url
from tests.support.waiting import PATIENCE_S
from tests.support.web_server import answering

Kind = Literal["status", "cut", "longer", "refuse"]


@dataclass
class Fault:
    """Befalls the next request whose line has `part` in it.

    `status`: that answer, with `headers` and `body`; `cut`: the connection breaks after so many
    bytes of the real answer's body; `longer`: the real answer goes on and on; `refuse`: the
    connection is closed before anything is said.
    """

    part: str
    kind: Kind
    number: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass
class Proxy:
    """`seen`: the lines of all requests, with their `Range` if they have one."""

    target: str
    url: str = ""
    faults: list[Fault] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, line: str, headers: Mapping[str, str]) -> Fault | None:
        with self.lock:
            self.seen.append(line)
            self.headers.append(headers)
            found = next((fault for fault in self.faults if fault.part in line), None)
            if found is not None:
                self.faults.remove(found)
            return found


class _Handler(BaseHTTPRequestHandler):
    proxy: Proxy
    protocol_version = "HTTP/1.1"

    def log_message(self, *words: object) -> None:
        """Nothing on stderr."""

    def _any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        asked = self.headers.get("Range") or self.headers.get("x-ms-range") or ""
        line = f"{self.command} {self.path} {asked}"
        fault = self.proxy.take(line, dict(self.headers.items()))
        if fault is not None and fault.kind == "refuse":
            self.close_connection = True
            return
        if fault is not None and fault.kind == "status":
            self._answer(fault.number, fault.headers, fault.body)
            return
        status, headers, data = self._forward(body)
        if fault is None:
            self._answer(status, headers, data)
            return
        self.close_connection = True
        self._begin(status, headers if fault.kind == "cut" else {}, len(data))
        with contextlib.suppress(OSError):
            if fault.kind == "cut":
                self.wfile.write(data[: fault.number])
            else:
                self.wfile.write(data)
                for _ in range(fault.number):
                    self.wfile.write(b"x" * (1 << 16))

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do_PATCH = _any

    def _forward(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(
            parse_url(self.proxy.target).netloc, timeout=PATIENCE_S
        )
        try:
            connection.putrequest(
                self.command, self.path, skip_host=True, skip_accept_encoding=True
            )
            for name, value in self.headers.items():
                connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            skipped = ("transfer-encoding", "connection", "content-length")
            headers = {k: v for k, v in answer.getheaders() if k.lower() not in skipped}
            data = answer.read()
            if self.command == "HEAD":
                headers["Content-Length"] = answer.getheader("Content-Length") or "0"
            return answer.status, headers, data
        finally:
            connection.close()

    def _answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self._begin(status, headers, len(body))
        self.wfile.write(body)

    def _begin(self, status: int, headers: Mapping[str, str], size: int) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        endless = self.close_connection and not headers
        if status != 204 and "Content-Length" not in headers and not endless:
            self.send_header("Content-Length", str(size))
        self.end_headers()


@contextlib.contextmanager
def faulty_proxy(target: str) -> Iterator[Proxy]:
    """In front of `target`; what signs a host's name signs the proxy's."""
    proxy = Proxy(target)
    with answering(type("H", (_Handler,), {"proxy": proxy})) as url:
        proxy.url = f"{url}{parse_url(target).path}"
        yield proxy
