"""The daemon that a command works with, by its `--builder`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from croze.cli import interrupted
from croze.drivers import reach as drivers

if TYPE_CHECKING:
    from croze.cli.common import Common
    from croze.client.connect import Client, Dial
    from croze.drivers.contract import Driver
    from croze.drivers.reach import Boot, Reach

T = TypeVar("T")


def dialler(common: Common) -> Dial:
    """How a command reaches the daemon it works with: see `reach`."""
    return reach(common).dial


def reach(common: Common) -> Reach:
    """The daemon of a command that works with one: of several nodes, the first."""
    return reaches(common)[0]


def reaches(
    common: Common, mode: str = "auto", key: str = "", *, builds: bool = True
) -> list[Reach]:
    """See `croze.drivers.reach`; `mode` is how it is shown that a daemon is brought up. Raises
    `CrozeError`."""
    boot = shown(mode)
    return drivers.reaches(common.builder, boot=boot, key=key, builds=builds, debug=common.debug)


def shown(mode: str = "auto") -> Boot:
    """Brings up a daemon, with a display of that kind."""

    async def boot(driver: Driver) -> None:
        from croze.cli import boot

        await boot.boot([("", driver)], mode)

    return boot


def with_client(
    common: Common, use: Callable[[Client], Awaitable[T]], *, timeout_s: float = 0
) -> T:
    """Run `use`, which builds nothing, with a connected client. With a `timeout_s`, a daemon that
    has not answered by then is given up: raises `Unavailable`."""
    import asyncio

    dial = reaches(common, builds=False)[0].once

    async def connected() -> T:
        async with dial() as client:
            if timeout_s:
                await _answer(client, timeout_s)
            return await use(client)

    return asyncio.run(connected())


def with_clients(
    common: Common,
    use: Callable[[Client], Awaitable[T]],
    *,
    timeout_s: float = 0,
    doing: str = "",
) -> list[T]:
    """Like `with_client`, with every node of the builder, at once; the results in their order.
    `doing` is what an interrupted command was at."""
    from contextlib import AsyncExitStack

    from croze.aio.parallel import all_of

    dials = [there.once for there in reaches(common, builds=False)]

    async def one(client: Client) -> T:
        if timeout_s:
            await _answer(client, timeout_s)
        return await use(client)

    async def connected() -> list[T]:
        async with AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(dial()) for dial in dials]
            return await all_of(one(client) for client in clients)

    return interrupted.run(connected(), doing)


async def _answer(client: Client, timeout_s: float) -> None:
    import asyncio

    from croze.errors import Unavailable, Unsupported

    try:
        async with asyncio.timeout(timeout_s):
            await client.info()
    except Unsupported:
        return  # an answer, too: of a daemon before BuildKit 0.11
    except TimeoutError:
        raise Unavailable(f"the daemon has not answered within {timeout_s:g} s") from None
