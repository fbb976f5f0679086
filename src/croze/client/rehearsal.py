"""A first call costs more than all later ones of a process: make it before anybody waits for it."""

from __future__ import annotations

import contextlib

import grpc
import grpc.aio

from croze.rpc.channels import make_server, open_channel
from croze.session.bridge import fresh_name

PATIENCE_S = 5


async def call_ourselves() -> None:
    """Start grpc's server and client sides, and call a method that nobody answers."""
    address = f"unix-abstract:{fresh_name()}"
    server = make_server()
    server.add_insecure_port(address)
    await server.start()
    async with open_channel(address) as channel:
        with contextlib.suppress(grpc.RpcError):
            await channel.unary_unary("/nobody/Answers", bytes, bytes)(b"", timeout=PATIENCE_S)
    await server.stop(0)
