"""Images loaded into a Docker engine: what it does not do, and who does not wait for it."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import http.server
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from croze.aio.threads import abandonable
from croze.client.docker.load import ImageLoad
from croze.errors import NotFound, Unavailable
from tests.support.certificates import make_certificate
from tests.support.waiting import PATIENCE_S


@pytest.fixture
def deaf() -> Iterator[str]:
    """The address of an engine that takes no connection: its queue is full."""
    with (
        socket.create_server(("127.0.0.1", 0), backlog=0) as server,
        contextlib.ExitStack() as stack,
    ):
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(server.getsockname())
        yield "tcp://{}:{}".format(*server.getsockname())


async def test_who_is_interrupted_does_not_wait_for_the_engine(
    deaf: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", deaf)
    async with asyncio.timeout(PATIENCE_S):
        load = await abandonable(ImageLoad)  # opened where one waits to the end
        assert load.waits
        writing = asyncio.ensure_future(abandonable(load.write, b"x"))  # noqa: TID251 - cancelled
        done, _ = await asyncio.wait([writing], timeout=0.2)
        assert not done, "the engine was to answer nothing"
        writing.cancel()
        await asyncio.wait([writing])
        load.abort()


async def test_an_engine_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    load = ImageLoad()
    with pytest.raises(Unavailable, match="Cannot connect to the Docker daemon at unix:///nonex"):
        load.write(b"x")
    load.abort()


class _Loading(http.server.BaseHTTPRequestHandler):
    """An engine's answer, and what it was sent."""

    got = b""

    def do_POST(self) -> None:
        while size := int(self.rfile.readline(), 16):
            type(self).got += self.rfile.read(size)
            self.rfile.readline()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"stream":"Loaded"}\n')

    def log_message(self, format: str, *args: object) -> None:
        """Not on standard error."""


def _context(folder: Path, name: str, host: str) -> Path:
    """A docker context as its CLI keeps it; where its certificates go."""
    key = hashlib.sha256(name.encode()).hexdigest()
    meta = folder / "contexts/meta" / key / "meta.json"
    meta.parent.mkdir(parents=True)
    meta.write_text(json.dumps({"Name": name, "Endpoints": {"docker": {"Host": host}}}))
    certificates = folder / "contexts/tls" / key / "docker"
    certificates.mkdir(parents=True)
    return certificates


def test_an_engine_behind_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The docker context in force says where it is, and whose certificate it has."""
    made = make_certificate()
    (tmp_path / "cert.pem").write_bytes(made.pem + made.key)
    secure = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=made.pem.decode())
    secure.load_cert_chain(tmp_path / "cert.pem")
    secure.verify_mode = ssl.CERT_REQUIRED
    with http.server.HTTPServer(("127.0.0.1", 0), _Loading) as server:
        server.socket = secure.wrap_socket(server.socket, server_side=True)
        host = f"tcp://127.0.0.1:{server.server_address[1]}"
        certificates = _context(tmp_path / "docker", "far", host)
        for name, data in (("ca", made.pem), ("cert", made.pem), ("key", made.key)):
            (certificates / f"{name}.pem").write_bytes(data)
        monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
        monkeypatch.delenv("DOCKER_HOST", raising=False)
        monkeypatch.setenv("DOCKER_CONTEXT", "far")
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        load = ImageLoad()
        load.write(b"an archive")
        load.commit()
        thread.join(10)
    assert _Loading.got == b"an archive"


def test_a_context_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with pytest.raises(NotFound, match='context "nope": context not found'):
        ImageLoad("nope")
