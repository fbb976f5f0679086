"""`croze cache-mount COMMAND`: finds the command."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from croze.cli.common import take_common
from croze.cli.flags import UsageError

if TYPE_CHECKING:
    from croze.cli.common import Common

COMMANDS = {
    "export": ("move", "Write cache mounts to a file or a cache"),
    "import": ("move", "Merge cache mounts from a file or a cache"),
    "inspect": ("inspect", "Show everything about cache mounts"),
    "ls": ("ls", "List cache mounts"),
    "rm": ("rm", "Remove cache mounts"),
}
HELP = """\
Usage:  croze cache-mount COMMAND

Commands to work on the contents of RUN --mount=type=cache

Commands:
{commands}

Run 'croze cache-mount COMMAND --help' for more information on a command."""


class Command(Protocol):
    """What a command's module holds."""

    def run(self, argv: Sequence[str], common: Common) -> int: ...


class Mover(Protocol):
    """What the module of `export` and `import` holds."""

    def run_export(self, argv: Sequence[str], common: Common) -> int: ...

    def run_import(self, argv: Sequence[str], common: Common) -> int: ...


def run(argv: Sequence[str], common: Common) -> int:
    words = take_common(argv, common, "croze cache-mount")
    if not words or words[0] in ("-h", "--help", "help"):
        rows = (f"  {name:<10} {about}" for name, (_, about) in COMMANDS.items())
        print(HELP.format(commands="\n".join(rows)))
        return 0
    if words[0] not in COMMANDS:
        raise UsageError(f"unknown command: croze cache-mount {words[0]}", "croze cache-mount")
    if words[0] in ("export", "import"):
        mover: Mover = importlib.import_module("croze.cli.cache_mount.move")
        move = mover.run_export if words[0] == "export" else mover.run_import
        return move(words[1:], common)
    command: Command = importlib.import_module(f"croze.cli.cache_mount.{COMMANDS[words[0]][0]}")
    return command.run(words[1:], common)
