"""`croze imagetools COMMAND`: finds the command."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from croze.cli.common import take_common
from croze.cli.flags import UsageError

if TYPE_CHECKING:
    from croze.cli.common import Common

COMMANDS = {
    "create": "Create a new image based on source images",
    "inspect": "Show details of an image in the registry",
}
HELP = """\
Usage:  croze imagetools COMMAND

Commands to work on images in registry

Commands:
{commands}

Run 'croze imagetools COMMAND --help' for more information on a command."""


class Command(Protocol):
    """What a command's module holds."""

    def run(self, argv: Sequence[str], common: Common) -> int: ...


def run(argv: Sequence[str], common: Common) -> int:
    words = take_common(argv, common, "croze imagetools")
    if not words or words[0] in ("-h", "--help", "help"):
        rows = (f"  {name:<10} {about}" for name, about in COMMANDS.items())
        print(HELP.format(commands="\n".join(rows)))
        return 0
    if words[0] not in COMMANDS:
        raise UsageError(f"unknown command: croze imagetools {words[0]}", "croze imagetools")
    command: Command = importlib.import_module(f"croze.cli.imagetools.{words[0]}")
    return command.run(words[1:], common)
