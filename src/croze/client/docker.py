"""Load an image into a Docker engine: `POST /images/load`, as the archive comes.

Source: Docker Engine API. The engine is the one `DOCKER_HOST` names.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
from urllib.parse import urlsplit

from croze.errors import CrozeError, InvalidRequest, Unavailable

DEFAULT_HOST = "unix:///var/run/docker.sock"
PATH = "/images/load?quiet=1"


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(self._path)


def _connection(host: str) -> http.client.HTTPConnection:
    parts = urlsplit(host)
    if parts.scheme == "unix":
        return UnixConnection(parts.path)
    if parts.scheme in ("tcp", "http"):
        return http.client.HTTPConnection(parts.netloc)
    raise InvalidRequest(f"can't load images into a Docker engine at {host}")


class ImageLoad:
    """An archive being loaded: what `provide_targets.Output` promises.

    The engine is called with the first bytes: it may be a host that does not answer, and who
    interrupts the command shall not wait for it.
    """

    waits = True

    def __init__(self, context: str = "") -> None:
        if context not in ("", "default"):
            raise InvalidRequest(f"docker context {context} is not supported")
        self._host = os.environ.get("DOCKER_HOST") or DEFAULT_HOST
        self._connection = _connection(self._host)
        self._begun = self._aborted = False

    def _begin(self) -> None:
        if self._begun:
            return
        self._begun = True
        try:
            self._connection.putrequest("POST", PATH)
            self._connection.putheader("Content-Type", "application/x-tar")
            self._connection.putheader("Transfer-Encoding", "chunked")
            self._connection.endheaders()
        except OSError as error:
            self._connection.close()
            raise Unavailable(
                f"Cannot connect to the Docker daemon at {self._host}. "
                f"Is the docker daemon running? ({error.strerror})"
            ) from None
        if self._aborted:  # meanwhile: nobody will
            self._connection.close()
            raise Unavailable("the image is no longer wanted")

    def write(self, data: bytes, /) -> None:
        self._begin()
        self._connection.send(b"%x\r\n%b\r\n" % (len(data), data))

    def commit(self) -> None:
        self._begin()
        try:
            self._connection.send(b"0\r\n\r\n")
            answer = self._connection.getresponse()
            _check(answer.status, answer.read())
        finally:
            self._connection.close()

    def abort(self) -> None:
        self._aborted = True
        if self._connection.sock is not None:
            with contextlib.suppress(OSError):
                self._connection.sock.shutdown(socket.SHUT_RDWR)  # ends a write that waits
        self._connection.close()


def _check(status: int, body: bytes) -> None:
    """The engine answers 200 before it has read all; errors come in its stream of JSON."""
    for line in body.splitlines():
        try:
            message = json.loads(line)
        except ValueError:
            continue
        if isinstance(message, dict):
            error = message.get("error") or (status >= 400 and message.get("message"))
            if error:
                raise CrozeError(f"failed to load image: {error}")
    if status >= 400:
        raise CrozeError(f"failed to load image: status {status}")
