"""`croze dial-stdio`: a connection to the builder's daemon on standard input and output."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from croze.builders.model import parse_platforms
from croze.cli.flags import Flags, UsageError, default_platform
from croze.cli.progress import progress_mode
from croze.cli.stdio import stdio
from croze.drivers.multinode import NodeOffer, Nodes
from croze.drivers.reach import drivers_of
from croze.drivers.tunnel import carry
from croze.errors import InvalidRequest
from croze.gotypes.quote import quote
from croze.progress.display import make_display, running
from croze.progress.own import own_step

if TYPE_CHECKING:
    from croze.cli.common import Common
    from croze.drivers.contract import Driver
    from croze.image.platform import Platform
    from croze.progress.display import Display

COMMAND = "croze dial-stdio"


def run(argv: Sequence[str], common: Common) -> int:
    """Carry bytes between the daemon and our standard streams, until the daemon has said all, or
    nobody listens to it any more."""
    flags = Flags(COMMAND, "Proxy current stdio streams to builder instance", "[OPTIONS]")
    flags.texts("--platform", help="Target platform: this is used for node selection")
    about = "Set type of progress output (auto, none, plain, rawjson, tty)"
    flags.text("--progress", help=about, default="none")
    flags.add_argument("extra", nargs="*", metavar="")
    args = flags.read(argv, common)
    if args.extra:
        raise UsageError(f"'{COMMAND}' accepts no arguments", COMMAND)
    mode = progress_mode(args.progress, command=COMMAND)
    platforms = _platforms(tuple(args.platform or default_platform()))
    name, nodes = drivers_of(common.builder)
    text, terminal = f"builder: {name}", f"builder:{name}"
    display = make_display(mode, sys.stderr.buffer, text_desc=text, tty_desc=terminal)
    asyncio.run(_proxy(nodes, platforms, display))
    return 0


def _platforms(texts: tuple[str, ...]) -> tuple[Platform, ...]:
    try:
        return parse_platforms(texts)
    except InvalidRequest as error:
        raise error.wrap(f"invalid platform {quote(texts[-1])}") from None


async def _proxy(
    nodes: Sequence[tuple[Driver, tuple[Platform, ...]]],
    platforms: Sequence[Platform],
    display: Display,
) -> None:
    async with running(display):
        with own_step("Proxying to builder", display.update) as step:
            async with AsyncExitStack() as stack:
                with step.part("Dialing builder"):
                    driver = await _chosen(nodes, platforms)
                    await driver.boot(display.update)
                    far = await stack.enter_async_context(driver.streams())
                await carry(await stdio(), far)


async def _chosen(
    nodes: Sequence[tuple[Driver, tuple[Platform, ...]]], platforms: Sequence[Platform]
) -> Driver:
    offers = [NodeOffer(driver.dial, fixed, driver.boot) for driver, fixed in nodes]
    async with Nodes(offers) as opened:
        share = (await opened.shares({"": platforms}))[""][0]
    return nodes[share.node][0]
