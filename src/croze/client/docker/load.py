"""Load an image into a Docker engine: `POST /images/load`, as the archive comes.

Source: Docker Engine API. The engine is that of a docker context, or of the one in force.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
from collections.abc import Sequence
from urllib.parse import quote, urlencode

from croze.builders.contexts import Contexts
from croze.client.docker.connection import connection_to
from croze.errors import CrozeError, Unavailable, as_own
from croze.files.docker_config import config_dir
from croze.files.settings import parse_json
from croze.image import reference

PATH = "/images/load?quiet=1"
_LINE_BYTES = 1 << 20


class ImageLoad:
    """An archive being loaded: what `session.providers.targets.TargetFile` promises.

    The engine is called with the first bytes: it may be a host that does not answer, and who
    interrupts the command shall not wait for it.
    """

    waits = True

    def __init__(self, context: str = "", names: Sequence[str] = ()) -> None:
        """Once loaded under the first of these names, the image is given the others, too."""
        self._names = names
        contexts = Contexts(config_dir())
        self._engine = contexts.engine(context or contexts.current)
        self._connection = connection_to(self._engine)
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
            raise self._engine.unreachable(error.strerror or str(error)) from None
        except UnicodeError:  # of a name that can't be one in the internet
            raise self._engine.unreachable("no such host") from None
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
            # Only a closed answer lets the connection ask again.
            with self._connection.getresponse() as answer:
                _check(answer)
            for name in self._names[1:]:
                self._tag(name)
        except (OSError, http.client.HTTPException) as error:
            raise self._engine.unreachable(str(as_own(error))) from None
        finally:
            self._connection.close()

    def _tag(self, name: str) -> None:
        ref = reference.parse(name)
        query = urlencode({"repo": ref.name, "tag": ref.tag})
        self._connection.request("POST", f"/images/{quote(self._names[0])}/tag?{query}")
        with self._connection.getresponse() as answer:
            _check(answer, f"tag image as {name}")

    def abort(self) -> None:
        self._aborted = True
        if self._connection.sock is not None:
            with contextlib.suppress(OSError):
                self._connection.sock.shutdown(socket.SHUT_RDWR)  # ends a write that waits
        self._connection.close()


def _check(answer: http.client.HTTPResponse, what: str = "load image") -> None:
    """The engine answers 200 before it has read all; errors come in its stream of JSON."""
    while line := answer.readline(_LINE_BYTES):
        try:
            message = parse_json(line)
        except ValueError:
            continue
        if isinstance(message, dict):
            error = message.get("error") or (answer.status >= 400 and message.get("message"))
            if error:
                raise CrozeError(f"failed to {what}: {error}")
    if answer.status >= 400:
        raise CrozeError(f"failed to {what}: status {answer.status}")
