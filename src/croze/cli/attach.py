"""`croze attach`: the rest of a build, all that it said before included, and its exit code."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from croze.aio import interrupts
from croze.cli.flags import Flags, UsageError
from croze.cli.guard import interrupt_on_sigterm
from croze.cli.history.find import found
from croze.cli.nodes import connected
from croze.cli.plugin import tool
from croze.cli.progress import PROGRESS, progress_mode
from croze.client.records import history

if TYPE_CHECKING:
    from croze.cli.common import Common

COMMAND = "croze attach"
CONFIG_DIGEST = "config.digest"
"""The annotation of a result that names its image's configuration."""


def run(argv: Sequence[str], common: Common) -> int:
    """Show the rest of the latest build, or of the one that is named; the exit code is the
    build's."""
    flags = Flags(COMMAND, "Show the rest of a build, and take its exit code", "[OPTIONS] [REF]")
    flags.text("--progress", help=f"Set type of progress output ({', '.join(PROGRESS)})")
    flags.switch("-q", "--quiet", help="Suppress the output and print the image ID on success")
    flags.add_argument("ref", metavar="REF", nargs="*")
    args = flags.read(argv, common)
    if len(args.ref) > 1:
        raise UsageError(f"accepts at most 1 arg(s), received {len(args.ref)}", COMMAND)
    mode = progress_mode(args.progress, quiet=args.quiet, command=COMMAND)
    interrupt_on_sigterm()
    try:
        image = interrupts.run(_follow(common, args.ref[0] if args.ref else "", mode))
    except KeyboardInterrupt:
        print("left; a detached build goes on (croze attach, croze cancel)", file=sys.stderr)
        return 130
    if args.quiet:
        print(image)
    return 0


async def _follow(common: Common, ref: str, mode: str) -> str:
    """Follow a build to its end; the image's id. Raises what the build failed with."""
    from croze.progress.display import make_display, running
    from croze.progress.warnings import print_warnings

    async with connected(common) as nodes:
        record, node, _ = await found(nodes, ref)
        channel = node.client.channel
        display = make_display(mode, sys.stderr.buffer, tty_desc=node.full_ref(record.Ref))
        async with running(display):
            async for response in history.status(channel, record.Ref):
                display.update(response)
        if mode != "quiet":
            print_warnings(display.warnings, sys.stderr, debug=common.debug, tool=tool())
        record = await history.completed(channel, record.Ref)
        error = await history.error_of(channel, record)
    if error is not None:
        raise error.wrap("failed to solve").wrap("failed to build")
    return _image_id(record)


def _image_id(record: history.Record) -> str:
    """What `croze build --quiet` would have printed; empty if no image was made."""
    for _, result in sorted(record.Result.Results.items()):
        return result.annotations.get(CONFIG_DIGEST, "") or result.digest
    return ""
