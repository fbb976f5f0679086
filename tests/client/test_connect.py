"""Dialling a daemon that takes its time."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import grpc
import pytest

from croze.api import control_pb2, worker_pb2
from croze.client.connect import connect
from croze.errors import Unavailable
from croze.rpc.server import Server
from tests.rpc.served import served

SILENCE_S = 0.3
"""Longer than gRPC gives a connection at the least, when it is told to be quick."""


async def version(request: object, context: object) -> control_pb2.InfoResponse:
    return control_pb2.InfoResponse(buildkitVersion=worker_pb2.BuildkitVersion(version="v1"))


INFO = grpc.unary_unary_rpc_method_handler(
    version,
    request_deserializer=control_pb2.InfoRequest.FromString,
    response_serializer=control_pb2.InfoResponse.SerializeToString,
)


async def test_a_busy_daemon_is_waited_for(tmp_path: Path) -> None:
    """Its socket takes connections at once; it says nothing on them for a while."""
    server = Server()
    server.add_methods("moby.buildkit.v1.Control", {"Info": INFO})
    accepted = 0
    over = asyncio.Event()

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal accepted
        accepted += 1
        await asyncio.sleep(SILENCE_S)
        far = await asyncio.open_unix_connection(f"{tmp_path}/daemon.sock")
        try:
            await asyncio.gather(_pump(reader, far[1]), _pump(far[0], writer))
            await asyncio.gather(far[1].wait_closed(), writer.wait_closed())
        except ConnectionError:
            pass  # the client need not wait for the last of it
        finally:
            far[1].close()
            writer.close()
            over.set()

    front = await asyncio.start_unix_server(hold, tmp_path / "front.sock")  # noqa: TID251
    async with served(server, tmp_path / "daemon.sock"):
        async with connect(f"unix://{tmp_path}/front.sock") as client:
            assert (await client.info()).version == "v1"
        assert accepted == 1
        await over.wait()
        front.close()
        await front.wait_closed()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def _wait(path: Path) -> None:
    async with connect(f"unix://{path}") as client:
        await client.wait_ready(0.2)


async def test_a_daemon_that_does_not_come_says_why(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=f"there is no daemon at unix://{tmp_path}/none"):
        await _wait(tmp_path / "none")
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(f"{tmp_path}/silent")
        silent.listen()
        with pytest.raises(Unavailable, match=r"has not answered within 0\.2 s"):
            await _wait(tmp_path / "silent")
