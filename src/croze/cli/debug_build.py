"""`croze debug build`: a build with the monitor behind it."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from croze.cli import build
from croze.cli.call import parse_call
from croze.cli.daemon import reaches
from croze.cli.desktop import print_details
from croze.cli.flags import UsageError
from croze.cli.guard import interrupt_on_sigterm
from croze.cli.plugin import tool
from croze.cli.progress import progress_mode

if TYPE_CHECKING:
    from croze.cli.common import Common
    from croze.debug.invocation import Invocation
    from croze.progress.display import Display


def _read(argv: Sequence[str], common: Common) -> argparse.Namespace:
    from croze.errors import InvalidRequest

    args = build.flags().read(argv, common)
    if args.context is None:
        raise UsageError("'croze debug build' requires 1 argument", "croze debug build")
    if "-" in (args.context, args.file):
        raise InvalidRequest("Dockerfile or context from stdin is not supported with debugger")
    return args


def run(argv: Sequence[str], invocation: Invocation, common: Common) -> int:
    """Build as the words behind `build` say, with the monitor behind it."""
    from croze.client.planning.checks import check_texts
    from croze.debug.build import build_monitored
    from croze.errors import CrozeError
    from croze.progress.display import make_display
    from croze.progress.warnings import print_warnings
    from croze.sdk.daemons import client_builder, descriptions
    from croze.sdk.remember import remembered

    args = _read(argv, common)
    mode = progress_mode(args.progress, quiet=args.quiet)
    interrupt_on_sigterm()
    call = parse_call(args.call)
    options = build.options(args, call, debug=common.debug)
    check_texts(options)
    there = reaches(common, mode, os.path.abspath(args.context))[0]

    def warn(display: Display) -> None:
        if mode != "quiet":
            print_warnings(display.warnings, sys.stderr, debug=common.debug, tool=tool())

    try:
        result = asyncio.run(
            build_monitored(
                lambda: remembered(options, there),
                invocation,
                dial=there.dial,
                builder=client_builder(there),
                display=lambda text, tty: make_display(
                    mode, sys.stderr.buffer, text_desc=text, tty_desc=tty
                ),
                descriptions=descriptions(there),
                on_end=warn,
            )
        )
    except CrozeError as error:
        raise error.wrap("failed to build") from error
    if call.name:
        return build.print_answer(call, result, build.dockerfile_name(args))
    if args.quiet:
        print(result.image_id)
    elif mode not in ("quiet", "rawjson"):
        print_details({"default": result.history_ref})
    return 0
