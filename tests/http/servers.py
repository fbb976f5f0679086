"""A web server on loopback that answers as it is told, and notes what it was asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

from tests.support.web_server import answering


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    authorization: str
    proxy_authorization: str
    cookie: str
    body: bytes
    accept_encoding: str


@dataclass(frozen=True)
class Reply:
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


@contextmanager
def server(
    reply: Callable[[Asked], Reply], host: str = "127.0.0.1"
) -> Iterator[tuple[str, list[Asked]]]:
    """Yields its origin and what it is asked."""
    seen: list[Asked] = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *words: object) -> None:
            """Nothing on stderr."""

        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            asked = Asked(
                self.command,
                self.path,
                self.headers.get("Authorization", ""),
                self.headers.get("Proxy-Authorization", ""),
                self.headers.get("Cookie", ""),
                self.rfile.read(length),
                self.headers.get("Accept-Encoding", ""),
            )
            seen.append(asked)
            answer = reply(asked)
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer.body)

        do_HEAD = do_POST = do_PUT = do_GET

    with answering(Handler, host) as url:
        yield url, seen
