"""`croze history logs`: what a build said, and what it says while it runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from croze.cli import interrupted
from croze.cli.flags import Flags, UsageError
from croze.cli.history.find import found
from croze.cli.nodes import connected
from croze.client.records import history

if TYPE_CHECKING:
    from croze.cli.common import Common

COMMAND = "croze history logs"
PROGRESS = ("auto", "none", "plain", "quiet", "rawjson", "tty")


def run(argv: Sequence[str], common: Common) -> int:
    flags = Flags(COMMAND, "Print the logs of a build record", "[OPTIONS] [REF]")
    about = "Set type of progress output (plain, rawjson, tty)"
    flags.text("--progress", help=about, default="plain")
    flags.add_argument("ref", metavar="REF", nargs="*")
    args = flags.read(argv, common)
    if len(args.ref) > 1:
        raise UsageError(f"accepts at most 1 arg(s), received {len(args.ref)}", COMMAND)
    if args.progress not in PROGRESS:
        raise UsageError(f"invalid progress mode {args.progress}", COMMAND)
    mode = "plain" if args.progress == "auto" else args.progress
    interrupted.run(_show(common, args.ref[0] if args.ref else "", mode))
    return 0


async def _show(common: Common, ref: str, mode: str) -> None:
    from croze.progress.display import make_display, running

    async with connected(common) as nodes:
        record, node, _ = await found(nodes, ref)
        display = make_display(mode, sys.stderr.buffer)
        async with running(display):
            async for response in history.status(node.client.channel, record.Ref):
                display.update(response)
