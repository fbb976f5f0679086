"""`croze stop`: end a builder's daemons, keeping what they stored."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from croze.builders.choose import OWN
from croze.builders.known import known
from croze.cli.builder import in_force
from croze.cli.flags import Flags
from croze.drivers import make

if TYPE_CHECKING:
    from croze.builders.contexts import Contexts
    from croze.builders.model import BuilderInstance
    from croze.cli.common import Common

COMMAND = "croze stop"


def run(argv: Sequence[str], common: Common) -> int:
    flags = Flags(COMMAND, "Stop builder instance", "[NAME]")
    flags.one_argument("name", metavar="NAME")
    args = flags.read(argv, common)
    with known() as here:
        builder = here.builder(in_force(args.name, common))
    asyncio.run(_stop(builder, here.contexts))
    if builder.name == OWN and builder.driver != OWN:
        print(
            f"another builder has the name {OWN} ({builder.driver}), and is the one that is meant: "
            "`croze stop` without a name ends the daemon that croze starts",
            file=sys.stderr,
        )
    return 0


async def _stop(builder: BuilderInstance, contexts: Contexts) -> None:
    for node in builder.members:
        await make.driver(builder, node, contexts).stop()
