"""`croze history COMMAND`: finds the command."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from croze.cli.common import take_common
from croze.cli.flags import UsageError

if TYPE_CHECKING:
    from croze.cli.common import Common

COMMANDS = {
    "export": ("export", "Export build records into Docker Desktop bundle"),
    "import": ("import_", "Import build records from bundles"),
    "inspect": ("inspect", "Inspect a build record"),
    "logs": ("logs", "Print the logs of a build record"),
    "ls": ("ls", "List build records"),
    "open": ("open", "Open a build record in Docker Desktop"),
    "rm": ("rm", "Remove build records"),
    "trace": ("trace", "Show the OpenTelemetry trace of a build record"),
}
HELP = """\
Usage:  croze history COMMAND

Commands to work on build records

Commands:
{commands}

Run 'croze history COMMAND --help' for more information on a command."""


class Command(Protocol):
    """What a command's module holds."""

    def run(self, argv: Sequence[str], common: Common) -> int: ...


def run(argv: Sequence[str], common: Common) -> int:
    words = take_common(argv, common, "croze history")
    if not words or words[0] in ("-h", "--help", "help"):
        rows = (f"  {name:<10} {about}" for name, (_, about) in COMMANDS.items())
        print(HELP.format(commands="\n".join(rows)))
        return 0
    if words[0] not in COMMANDS:
        raise UsageError(f"unknown command: croze history {words[0]}", "croze history")
    command: Command = importlib.import_module(f"croze.cli.history.{COMMANDS[words[0]][0]}")
    return command.run(words[1:], common)
