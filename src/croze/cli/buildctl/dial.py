"""`buildctl dial-stdio`: by which buildx and croze reach a daemon in a container or on another
machine. Imports no grpc: it is started for every connection."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from croze.cli.buildctl.connection import ConnectionSettings
from croze.cli.buildctl.flags import ConnectionFlags


def run(name: str, argv: Sequence[str], connection: ConnectionSettings) -> int:
    """Carry bytes between the daemon and our standard streams, until either side has said all."""
    flags = ConnectionFlags(f"buildctl {name}", "Proxy the stdio stream to the daemon")
    _, connection = flags.take(argv, connection)
    asyncio.run(_dial(connection))
    return 0


async def _dial(connection: ConnectionSettings) -> None:
    from croze.cli.stdio import stdio
    from croze.drivers.sockets import socket_streams
    from croze.drivers.tunnel import carry

    tls = connection.tls() if connection.is_secured else None
    async with socket_streams(connection.address, tls) as far:
        await carry(await stdio(), far)
