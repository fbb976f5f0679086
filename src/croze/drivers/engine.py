"""A connection to a Docker engine: where a context says it is, plain, with TLS or through ssh.

Source: Docker Engine API (`/grpc`, upgrade to h2c); docker/cli `cli/connhelper` for ssh.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from croze.builders.contexts import DockerContext, TlsFiles
from croze.drivers.commands import process_streams
from croze.drivers.sockets import open_socket
from croze.drivers.tunnel import Streams
from croze.errors import CrozeError, InvalidRequest, Unavailable

HEAD_LIMIT_BYTES = 64 * 1024


@asynccontextmanager
async def engine_streams(context: DockerContext) -> AsyncIterator[Streams]:
    """A fresh connection to the engine's HTTP API. Raises `Unavailable`."""
    url = urlsplit(context.host)
    if url.scheme == "ssh":
        user = ["-l", url.username] if url.username else []
        port = ["-p", str(url.port)] if url.port else []
        host = ["--", url.hostname or "", "docker", "system", "dial-stdio"]
        async with process_streams(["ssh", *user, *port, *host]) as streams:
            yield streams
        return
    reader, writer = await _dialled(context)
    try:
        yield reader, writer
    finally:
        writer.close()


async def _dialled(context: DockerContext) -> Streams:
    secure = None if context.tls is None else _ssl_context(context.tls)
    host = re.sub(r"^https?://", "tcp://", context.host)
    try:
        return await open_socket(host, secure, port=2375 if secure is None else 2376)
    except Unavailable as error:
        raise Unavailable(
            f"Cannot connect to the Docker daemon at {context.host}. "
            f"Is the docker daemon running? ({error})"
        ) from None


def _ssl_context(files: TlsFiles) -> ssl.SSLContext:
    try:
        made = ssl.create_default_context(cafile=files.ca)
        if files.cert is not None:
            made.load_cert_chain(files.cert, files.key)
    except OSError as error:
        raise InvalidRequest(f"could not read the docker context's certificates: {error}") from None
    if not files.verify:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    return made


@asynccontextmanager
async def upgraded(context: DockerContext, path: str, protocol: str) -> AsyncIterator[Streams]:
    """The engine's stream behind an upgraded request. Raises `Unavailable` and `CrozeError` with
    the engine's words."""
    async with engine_streams(context) as (reader, writer):
        head = [f"POST {path} HTTP/1.1", "Host: docker", "Connection: Upgrade"]
        head += [f"Upgrade: {protocol}", "Content-Length: 0", "", ""]
        writer.write("\r\n".join(head).encode("ascii"))
        try:
            await writer.drain()
            answer = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError):
            raise Unavailable(
                f"the Docker daemon at {context.host} closed the connection"
            ) from None
        status = answer.split(b"\r\n", 1)[0].decode("latin-1")
        if " 101" not in status:
            said = (await reader.read(HEAD_LIMIT_BYTES)).decode(errors="replace").strip()
            raise CrozeError(
                f"the Docker daemon at {context.host} does not serve builds at {path}: "
                f"{status.partition(' ')[2]} {said}".rstrip()
            )
        yield reader, writer
