"""`croze dial-stdio`: a connection to the builder's daemon on standard input and output."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from croze.builders.model import parse_platforms
from croze.cli.boot import boot
from croze.cli.build import progress_mode
from croze.cli.flags import Flags, UsageError, default_platform
from croze.drivers.parting import NodeOffer, Nodes
from croze.drivers.reach import drivers_of
from croze.drivers.tunnel import Streams, carry

if TYPE_CHECKING:
    from croze.cli.common import Common
    from croze.drivers.contract import Driver
    from croze.image.platform import Platform

COMMAND = "croze dial-stdio"


def run(argv: Sequence[str], common: Common) -> int:
    """Until the daemon has said all, or nobody listens to it any more."""
    flags = Flags(COMMAND, "Proxy current stdio streams to builder instance", "[OPTIONS]")
    flags.texts("--platform", help="Target platform: this is used for node selection")
    about = "Set type of progress output (auto, none, plain, rawjson, tty)"
    flags.text("--progress", help=about, default="none")
    flags.add_argument("extra", nargs="*", metavar="")
    args = flags.read(argv, common)
    if args.extra:
        raise UsageError(f"'{COMMAND}' accepts no arguments", COMMAND)
    mode = progress_mode(args.progress, command=COMMAND)
    platforms = parse_platforms(tuple(args.platform or default_platform()))
    asyncio.run(_proxy(drivers_of(common.builder), platforms, mode))
    return 0


async def _proxy(
    nodes: Sequence[tuple[Driver, tuple[Platform, ...]]], platforms: Sequence[Platform], mode: str
) -> None:
    offers = [NodeOffer(driver.dial, fixed, driver.boot) for driver, fixed in nodes]
    async with Nodes(offers) as opened:
        share = (await opened.shares({"": platforms}))[""][0]
    driver = nodes[share.node][0]
    await boot([("", driver)], mode)
    async with driver.streams() as far:
        await carry(await stdio(), far)


async def stdio() -> Streams:
    """This process's standard input and output."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    await loop.connect_read_pipe(lambda: protocol, sys.stdin.buffer)
    transport, writing = await loop.connect_write_pipe(
        lambda: asyncio.streams.FlowControlMixin(loop), sys.stdout.buffer
    )
    return reader, asyncio.StreamWriter(transport, writing, reader, loop)
