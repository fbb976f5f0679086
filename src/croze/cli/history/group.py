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
    "inspect": "Inspect a build record",
    "logs": "Print the logs of a build record",
    "ls": "List build records",
    "rm": "Remove build records",
}
ABSENT = {
    "export": "writing records as .dockerbuild bundles is not there yet",
    "import": "bundles are imported by Docker Desktop, which is not on this machine",
    "open": "records are opened in Docker Desktop, which is not on this machine",
    "trace": "a record's trace is not shown here yet; `docker buildx history trace` shows it",
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
        rows = (f"  {name:<10} {about}" for name, about in COMMANDS.items())
        print(HELP.format(commands="\n".join(rows)))
        return 0
    if words[0] in ABSENT:
        from croze.errors import Unsupported

        raise Unsupported(f"croze history {words[0]}: {ABSENT[words[0]]}")
    if words[0] not in COMMANDS:
        raise UsageError(f"unknown command: croze history {words[0]}", "croze history")
    command: Command = importlib.import_module(f"croze.cli.history.{words[0]}")
    return command.run(words[1:], common)
