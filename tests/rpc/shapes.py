"""A service with methods of every shape."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc

from croze import errors
from croze.rpc.servers import Context, aborting

LONG = b"x" * (9 << 20)


class Service:
    """Methods of every shape."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.cancelled = asyncio.Event()

    async def echo(self, request: bytes, context: Context) -> bytes:
        await context.send_initial_metadata((("who", "me"),))
        return request

    async def wait(self, request: bytes, context: Context) -> bytes:
        self.begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return b""

    async def fail(self, request: bytes, context: Context) -> bytes:
        async with aborting(context, plain=False):
            raise errors.NotFound("nö such thing", errors.VertexDetail("sha256:" + "1" * 300_000))
        return b""

    async def count(self, request: bytes, context: Context) -> AsyncIterator[bytes]:
        await context.send_initial_metadata((("who", "me"),))
        for number in range(int(request)):
            yield bytes([number % 256]) * 1000
        await self.wait(b"", context) if request == b"3" else None

    async def lengths(self, requests: AsyncIterator[bytes], context: Context) -> bytes:
        return str([len(each) async for each in requests]).encode()

    async def both(self, requests: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        async for each in requests:
            yield each

    async def early(self, requests: AsyncIterator[bytes], context: Context) -> bytes:
        return b"enough"

    def table(self) -> dict[str, grpc.RpcMethodHandler[bytes, bytes]]:
        unary, both = grpc.unary_unary_rpc_method_handler, grpc.stream_stream_rpc_method_handler
        table = {name: unary(getattr(self, name)) for name in ("echo", "wait", "fail")}
        table["count"] = grpc.unary_stream_rpc_method_handler(self.count)
        table["lengths"] = grpc.stream_unary_rpc_method_handler(self.lengths)
        table["early"] = grpc.stream_unary_rpc_method_handler(self.early)
        table["both"] = both(self.both)
        return table
