"""Dialling the daemon from a command: which one, and the services of `crozed` itself."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from croze.cli.common import Common
    from croze.client.connect import Client

T = TypeVar("T")


def address(named: str, *, debug: bool) -> str:
    """Where the daemon is; the user's own is started when nobody named one."""
    from croze.drivers import local

    chosen = named or local.address_from_environment()
    if chosen:
        return chosen
    found, started = local.ensure_daemon()
    if started and debug:
        print(f"started the daemon at {found}", file=sys.stderr)
    return found


def with_client(common: Common, use: Callable[[Client], Awaitable[T]]) -> T:
    """Run `use` with a connected client."""
    from croze.client.connect import connect

    async def connected() -> T:
        async with connect(address(common.builder, debug=common.debug)) as client:
            return await use(client)

    return asyncio.run(connected())
