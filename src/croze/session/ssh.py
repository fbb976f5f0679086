"""The client's SSH agent, as a socket that a container can mount (`moby.sshforward.v1`)."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from croze.aio.streams import listening, serving
from croze.api import ssh_pb2
from croze.errors import CrozeError
from croze.fs.temporary import temporary_directory
from croze.session.contract import Session
from croze.session.messages import decode

log = logging.getLogger(__name__)

_SERVICE = "/moby.sshforward.v1.SSH"
DEFAULT_ID = "default"
KEY_ID = "buildkit.ssh.id"
CHUNK_BYTES = 32 * 1024
MOST = 64
"""Connections of one step at once."""


async def check(session: Session, id: str = DEFAULT_ID) -> None:
    """See that the client forwards an agent under this id. Raises the `CrozeError` that it answers
    with if not."""
    await session.calls.ask(
        f"{_SERVICE}/CheckAgent", ssh_pb2.CheckAgentRequest(ID=id), ssh_pb2.CheckAgentResponse
    )


@asynccontextmanager
async def agent_socket(
    session: Session,
    id: str = DEFAULT_ID,
    *,
    uid: int = 0,
    gid: int = 0,
    mode: int = 0o600,
    directory: str | None = None,
) -> AsyncIterator[Path]:
    """A Unix socket that leads to the client's agent; gone when the block ends."""
    with temporary_directory("ssh", directory) as name:
        folder = Path(name)
        folder.chmod(0o711)
        path = folder / "ssh_auth_sock"
        async with _listening(session, id or DEFAULT_ID, path):
            os.chown(path, uid, gid)
            path.chmod(mode)
            yield path


@asynccontextmanager
async def _listening(session: Session, id: str, path: Path) -> AsyncIterator[None]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await _forward(session, id, reader, writer)
        except CrozeError as error:
            log.debug("ssh agent %s: %s", id, error)

    async with serving(_bound(path), serve, most=MOST):
        yield


def _bound(path: Path) -> socket.socket:
    """A socket at `path`, which may be longer than the 107 bytes that an address can hold."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        return listening(f"/proc/self/fd/{folder}/{path.name}")
    finally:
        os.close(folder)


async def _forward(
    session: Session, id: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    async with session.calls.stream(f"{_SERVICE}/ForwardAgent", ((KEY_ID, id),)) as call:

        async def to_client() -> None:
            while data := await reader.read(CHUNK_BYTES):
                await call.send(ssh_pb2.BytesMessage(data=data).SerializeToString())
            await call.done_sending()

        async def from_client() -> None:
            while batch := await call.receive():
                for message in batch:
                    writer.write(decode(ssh_pb2.BytesMessage, message).data)
                await writer.drain()
            writer.write_eof()

        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(to_client())
                group.create_task(from_client())
        except* (CrozeError, OSError) as failed:
            log.debug("ssh agent %s: %s", id, failed.exceptions[0])
