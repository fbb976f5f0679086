"""`croze debug`: look into builds, the daemon and its store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from croze.cli.daemon import with_client
from croze.cli.flags import Flags, UsageError

if TYPE_CHECKING:
    from croze.cli.common import Common
    from croze.client.connect import Client


def flags() -> Flags:
    """The flags; those before `build` are of the debugger, those behind it of the build."""
    usage = "[OPTIONS] build ... | verify | info | replay [FILE | -]"
    flags = Flags("croze debug", "Look into builds, the daemon and its store", usage)
    flags.text("--invoke", help="Launch a monitor with executing specified command")
    flags.text("--on", help='When to launch the monitor ([always, error]) (default "error")')
    flags.text("--progress", help="How replay draws: auto, plain, rawjson, tty")
    flags.add_argument("what", metavar="build|verify|info|replay", nargs="?")
    flags.add_argument("file", metavar="FILE", nargs="?")
    return flags


def run(argv: Sequence[str], common: Common) -> int:
    """`build`: build, with a monitor to look into it.
    `verify`: read everything that the store holds and compare it with what it should be.
    `replay`: draw a build that `--progress=rawjson` recorded."""
    args, words = flags().read_options(argv, common)
    if words[:1] == ["build"]:
        return build(args.invoke, args.on or "error", words[1:], common)
    args = flags().read(argv, common)
    what = args.what
    if what == "replay":
        return replay(args.file or "-", args.progress)
    if args.file or args.progress:
        raise UsageError("only replay takes a file and --progress", "croze debug")
    if what == "verify":
        return verify(common)
    if what == "info":
        return info(common)
    raise UsageError("'croze debug' requires build, verify, info or replay", "croze debug")


def build(invoke: str, on: str, argv: Sequence[str], common: Common) -> int:
    """Build, with the monitor when that is wanted."""
    from croze.cli import debug_build
    from croze.debug.invocation import parse_invocation

    return debug_build.run(argv, parse_invocation(invoke, on), common)


def verify(common: Common) -> int:
    """Print every problem; the exit code is 1 if there is any."""

    async def ask(client: Client) -> list[str]:
        from croze.client.crozed.calls import CrozedClient

        return await CrozedClient(client.channel).verify()

    problems = with_client(common, ask)
    for problem in problems:
        print(problem)
    print("1 problem" if len(problems) == 1 else f"{len(problems)} problems")
    return 1 if problems else 0


def info(common: Common) -> int:
    """Print which daemon this is, and its worker."""
    from croze.client.planning.platforms import worker_platforms
    from croze.image.platform import format

    async def ask(client: Client) -> str:
        version = await client.info()
        lines = [f"daemon     {version.package} {version.version}"]
        for worker in await client.workers():
            platforms = ",".join(format(each) for each in worker_platforms(worker))
            lines += [f"worker     {worker.ID}", f"platforms  {platforms}"]
            lines += [f"label      {k}={v}" for k, v in sorted(worker.Labels.items())]
        return "\n".join(lines)

    print(with_client(common, ask))
    return 0


def replay(path: str, progress: str) -> int:
    """Draw what a build said, at once, and as it comes from standard input."""
    import sys

    from croze.cli.progress import progress_mode
    from croze.progress.display import make_display
    from croze.progress.recorded import read

    mode = progress_mode(progress, command="croze debug replay")
    with sys.stdin.buffer if path == "-" else open(path, "rb") as file:
        display = make_display(mode, sys.stderr.buffer)
        try:
            for status in read(file, path):
                display.update(status)
        finally:
            display.close()
    return 0
