"""`croze build --detach`: a process that stays behind for the build, and the ref to find it by.

The one that stays reads the same command line. It has a session of its own, so that the terminal's
end is none of its business, and says on a pipe when the daemon has the build; until then its errors
are this command's.

    python -m croze.cli.detach FD [--builder NAME] [--debug] BUILD-WORD...
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from croze.cli.call import parse_call
from croze.cli.common import Common, UsageError, take_common
from croze.files.interpreter import own_program

if TYPE_CHECKING:
    from croze.client.planning.options import BuildOptions


def begin(argv: Sequence[str], common: Common) -> int:
    """Start the process that stays; print the build's ref once it has begun. Returns the exit
    code."""
    import subprocess

    mine, its = os.pipe()
    options = ["--builder", common.builder] if common.builder else []
    options += ["--debug"] if common.debug else []
    words = [*own_program("croze.cli.detach"), str(its), *options, "build", *argv]
    sys.stderr.flush()
    process = subprocess.Popen(words, pass_fds=[its], stdout=subprocess.DEVNULL)
    os.close(its)
    try:
        with os.fdopen(mine, "rb") as pipe:
            ref = pipe.read().decode()
        if not ref:
            return process.wait()
    except KeyboardInterrupt:
        process.terminate()
        process.wait()
        raise
    process.returncode = 0  # it stays behind: nobody waits for it
    print(ref)
    return 0


def hold(options: BuildOptions, common: Common) -> None:
    """Be the process that stays: build. Raises `CrozeError`."""
    import asyncio

    from croze.cli.daemon import reaches
    from croze.client.builds.detached import build_detached
    from croze.errors import Unsupported
    from croze.sdk.daemons import client_builder
    from croze.sdk.remember import remembered

    there = reaches(common, key=os.path.abspath(options.context))
    if len(there) > 1:
        raise Unsupported("--detach builds on one node: this builder has several")

    def begun(ref: str) -> None:
        leave_terminal()
        os.write(common.detached_pipe, ref.encode())
        os.close(common.detached_pipe)

    asyncio.run(
        build_detached(
            remembered(options, there[0]),
            dial=there[0].dial,
            builder=client_builder(there[0]),
            on_begin=begun,
        )
    )


def leave_terminal() -> None:
    """Leave the terminal: neither its end nor its keys reach this process any more, nor what this
    writes it. Standard input stays if it is none: there may be a context on it."""
    os.setsid()
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        if number or os.isatty(0):
            os.dup2(nowhere, number)
    os.close(nowhere)


def main(argv: Sequence[str]) -> int:
    from croze.cli.guard import guarded

    common = Common(detached_pipe=int(argv[0]))
    os.set_inheritable(common.detached_pipe, False)
    words = take_common(argv[1:], common, "croze")
    return guarded("build", words[1:], common)


def check(args: argparse.Namespace) -> None:
    """See that nothing is asked for that makes no sense without somebody there. Raises
    `UsageError`."""
    if parse_call(args.call).name:
        raise UsageError(f"--detach and --call={args.call} can't be used together", "croze build")
    if args.quiet:
        raise UsageError("--detach and --quiet can't be used together", "croze build")
    if args.progress not in ("", "auto"):
        message = f"--detach and --progress={args.progress} can't be used together"
        raise UsageError(message, "croze build")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
