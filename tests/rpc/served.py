"""A server on a socket of a test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from croze.aio.streams import listening, on_sockets, serving
from croze.rpc.server import Server


@asynccontextmanager
async def served(server: Server, path: Path) -> AsyncIterator[str]:
    """Its address, as gRPC writes it."""
    async with serving(listening(str(path)), on_sockets(server.serve), most=50):
        yield f"unix:{path}"
