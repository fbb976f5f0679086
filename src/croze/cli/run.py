"""`croze run`: an image of the local store, in a container, on this terminal."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from croze.cli.daemon import with_client
from croze.cli.flags import Flags, UsageError, default_platform

if TYPE_CHECKING:
    from croze.cli.common import Common
    from croze.client.connect import Client
    from croze.client.crozed.run_image import RunOptions


def flags() -> Flags:
    """docker run's flags, as far as a build tool needs them."""
    flags = Flags(
        "croze run",
        "Run an image of the local store in a container",
        "[OPTIONS] IMAGE [COMMAND] [ARG...]",
    )
    flags.texts("-e", "--env", help="Set environment variables")
    flags.text("--entrypoint", help="Overwrite the ENTRYPOINT of the image")
    flags.text("--hostname", help="Container host name")
    flags.switch("-i", "--interactive", help="Keep standard input open")
    flags.text("--network", help="default, host or none")
    flags.text("--platform", help="Choose the platform of a multi-platform image")
    flags.without_effect("--rm", value=False)
    flags.switch("-t", "--tty", help="Allocate a terminal")
    flags.text("-u", "--user", help="Name or id, optionally with group: user:group")
    flags.text("-w", "--workdir", help="Working directory inside the container")
    return flags


def run(argv: Sequence[str], common: Common) -> int:
    """The exit code is the container's."""
    args, words = flags().read_options(argv, common)
    if args.rm is False:
        raise UsageError("--rm=false: containers are always removed when they end", "croze run")
    if not words:
        raise UsageError("'croze run' requires at least 1 argument", "croze run")
    from croze.client.crozed.run_image import run_image

    async def attach(client: Client) -> int:
        return await run_image(client, run_options(args, words[0], words[1:]))

    with raw_terminal(args.tty):
        return with_client(common, attach)


def run_options(args: argparse.Namespace, image: str, command: Sequence[str]) -> RunOptions:
    """The flags as the client library takes them."""
    from croze.client.crozed.run_image import RunOptions

    return RunOptions(
        image=image,
        command=command,
        entrypoint=[args.entrypoint] if args.entrypoint else [],
        env=args.env,
        user=args.user,
        workdir=args.workdir,
        network=args.network,
        hostname=args.hostname,
        platform="".join([args.platform] if args.platform else default_platform()),
        tty=args.tty,
        interactive=args.interactive,
    )


@contextlib.contextmanager
def raw_terminal(has_terminal: bool) -> Iterator[None]:
    """Keys go through as they are while the container has the terminal."""
    if not (has_terminal and sys.stdin.isatty()):
        yield
        return
    import termios
    import tty

    saved = termios.tcgetattr(0)
    tty.setraw(0)
    try:
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, saved)
