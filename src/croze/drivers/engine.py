"""A connection to a Docker engine: where a context says it is, plain, with TLS or through ssh.

Source: Docker Engine API (`/grpc`, upgrade to h2c); docker/cli `cli/connhelper` for ssh.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from croze.builders.contexts import DockerContext
from croze.drivers.commands import process_streams
from croze.drivers.sockets import open_socket
from croze.drivers.tunnel import SocketStreams, Streams
from croze.errors import CrozeError, Unavailable
from croze.gotypes import gojson

HEAD_LIMIT_BYTES = 64 * 1024


@asynccontextmanager
async def engine_streams(context: DockerContext) -> AsyncIterator[SocketStreams]:
    """A fresh connection to the engine's HTTP API. Raises `Unavailable`."""
    if command := context.command():
        async with process_streams(command) as streams:
            yield streams
        return
    reader, writer = await _dialled(context)
    try:
        yield reader, writer
    finally:
        writer.close()


async def _dialled(context: DockerContext) -> SocketStreams:
    secure = None if context.host.startswith("unix:") else context.secured()
    host = re.sub(r"^https?://", "tcp://", context.host)
    try:
        return await open_socket(host, secure, port=2375 if secure is None else 2376)
    except Unavailable as error:
        raise context.unreachable(str(error)) from None


class UpgradeRefused(CrozeError):
    """The engine's answer to an upgrade is no: `status` says why, in HTTP's words."""

    def __init__(self, status: str, body: bytes) -> None:
        self.status = status
        super().__init__(f"Error response from daemon: {message_of(body)}")


class _Refusal(msgspec.Struct):
    message: str


def message_of(body: bytes) -> str:
    """The engine's own words in the body of an answer that says no."""
    try:
        return gojson.unmarshal(body, type=_Refusal).message
    except (msgspec.MsgspecError, RecursionError):
        return body.decode(errors="replace").strip()


@asynccontextmanager
async def upgraded(
    context: DockerContext, path: str, protocol: str, *, body: bytes = b""
) -> AsyncIterator[Streams]:
    """The engine's stream behind an upgraded request; the body is JSON. Raises `Unavailable` and
    `UpgradeRefused`."""
    async with engine_streams(context) as (reader, writer):
        head = [f"POST {path} HTTP/1.1", "Host: docker", "Connection: Upgrade"]
        head += ["Content-Type: application/json"] if body else []
        head += [f"Upgrade: {protocol}", f"Content-Length: {len(body)}", "", ""]
        writer.write("\r\n".join(head).encode("ascii") + body)
        try:
            await writer.drain()
            answer = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError):
            raise Unavailable(
                f"the Docker daemon at {context.host} closed the connection"
            ) from None
        status = answer.split(b"\r\n", 1)[0].decode("latin-1")
        if " 101" not in status:
            raise UpgradeRefused(status.partition(" ")[2], await reader.read(HEAD_LIMIT_BYTES))
        yield reader, writer
