"""A first call costs more than all later ones of a process: make it before anybody waits for it."""

from __future__ import annotations

import contextlib
import socket

import grpc
import grpc.aio

from croze.aio.streams import on_sockets, serving
from croze.rpc.channels import open_channel
from croze.rpc.server import Server
from croze.session.packets import fresh_name

PATIENCE_S = 5


async def call_ourselves() -> None:
    """Start the client's side of gRPC, and call a method that nobody answers."""
    name = fresh_name()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as listener:
        listener.bind(f"\0{name}")
        listener.listen(1)
        async with (
            serving(listener, on_sockets(Server().serve), most=1),
            open_channel(f"unix-abstract:{name}") as channel,
        ):
            with contextlib.suppress(grpc.RpcError):
                await channel.unary_unary("/nobody/Answers", bytes, bytes)(b"", timeout=PATIENCE_S)
