"""HTTP connections to Docker engines, whatever their addresses are."""

from __future__ import annotations

import http.client
import socket
import subprocess
from collections.abc import Sequence

from croze.builders.contexts import DockerContext
from croze.errors import InvalidRequest
from croze.http.urls import parse_url


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        _set_patience(self)
        self.sock.connect(self._path)


class _CommandConnection(http.client.HTTPConnection):
    """Over the standard streams of a process."""

    def __init__(self, command: Sequence[str]) -> None:
        super().__init__("localhost")
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None

    def connect(self) -> None:
        self.sock, far = socket.socketpair()
        _set_patience(self)
        with far:
            self._process = subprocess.Popen(self._command, stdin=far.fileno(), stdout=far.fileno())

    def close(self) -> None:
        super().close()
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None


def _set_patience(connection: http.client.HTTPConnection) -> None:
    """What `http.client` itself does with its own sockets alone."""
    if isinstance(connection.timeout, int | float):
        connection.sock.settimeout(connection.timeout)


def connection_to(engine: DockerContext) -> http.client.HTTPConnection:
    """An HTTP connection to an engine, not yet connected; to be closed. Raises `InvalidRequest`."""
    if command := engine.command():
        return _CommandConnection(command)
    parts = parse_url(engine.host)
    if parts.scheme == "unix":
        return UnixConnection(parts.path)
    if parts.scheme in ("tcp", "http", "https"):
        secured = engine.secured()
        if secured is None and parts.scheme != "https":
            return http.client.HTTPConnection(parts.hostname or "", parts.port or 2375)
        return http.client.HTTPSConnection(
            parts.hostname or "", parts.port or 2376, context=secured
        )
    raise InvalidRequest(f"can't load images into a Docker engine at {engine.host}")
