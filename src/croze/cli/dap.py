"""`croze dap`: a debug adapter for editors."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from croze.cli import build
from croze.cli.call import parse_call
from croze.cli.daemon import reaches
from croze.cli.flags import Flags, UsageError
from croze.cli.guard import interrupt_on_sigterm

if TYPE_CHECKING:
    from croze.cli.common import Common


def flags() -> Flags:
    """The flags; those behind `build` are of the build."""
    usage = "build [OPTIONS] [PATH] | attach PATH"
    flags = Flags("croze dap", "Start debug adapter protocol compatible debugger", usage)
    flags.add_argument("what", metavar="build|attach", nargs="?")
    return flags


def run(argv: Sequence[str], common: Common) -> int:
    """`build`: serve an editor on standard input and output. `attach`: what an editor runs in a
    terminal for a shell."""
    match list(argv):
        case ["build", *rest]:
            return serve(rest, common)
        case ["attach", path]:
            from croze.debug.dap.shell import attach

            asyncio.run(attach(path))
            return 0
    parser = flags()
    if parser.read(argv, common).what is None:
        print(parser.format_help(), end="")
        return 0
    raise UsageError("'croze dap' requires build, or attach and a path", "croze dap")


def serve(argv: Sequence[str], common: Common) -> int:
    """Build for an editor; the exit code is 0 if the build has come to its end."""
    from croze.client.planning.checks import check_texts
    from croze.debug.dap.build import build_adapted
    from croze.errors import CrozeError
    from croze.progress.display import make_display
    from croze.sdk.daemons import client_builder, descriptions
    from croze.sdk.remember import remembered

    args = build.flags().read(argv, common)
    call = parse_call(args.call)
    args.context = args.context or ""
    interrupt_on_sigterm()
    options = build.options(args, call, debug=common.debug)
    check_texts(options)
    there = reaches(common, "quiet", os.path.abspath(args.context))[0]
    text_desc, _ = descriptions(there)
    try:
        asyncio.run(
            build_adapted(
                options,
                dial=there.dial,
                builder=client_builder(there),
                display=lambda out: make_display("plain", out, text_desc=text_desc),
                remembered=lambda invocation: remembered(invocation, there),
            )
        )
    except CrozeError as error:
        raise error.wrap("failed to build") from error
    return 0
