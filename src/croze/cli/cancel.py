"""`croze cancel`: end running builds, detached ones too."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from croze.cli.flags import Flags
from croze.cli.history.find import found
from croze.cli.nodes import connected

if TYPE_CHECKING:
    from croze.cli.common import Common

COMMAND = "croze cancel"


def run(argv: Sequence[str], common: Common) -> int:
    flags = Flags(COMMAND, "End running builds", "REF [REF...]")
    flags.some_arguments("refs", metavar="REF")
    args = flags.read(argv, common)
    asyncio.run(_cancel(common, args.refs))
    return 0


async def _cancel(common: Common, refs: Sequence[str]) -> None:
    from croze.client.builds.detached import cancel

    async with connected(common) as nodes:
        for ref in refs:
            record, node, _ = await found(nodes, ref)
            await cancel(node.client.channel, record.Ref)
            print(record.Ref)
