"""`croze policy COMMAND`: finds the command."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from croze.cli.common import UsageError, take_common

if TYPE_CHECKING:
    from croze.cli.common import Common

COMMANDS = {
    "eval": "Evaluate policy for a source",
    "test": "Run policy tests",
}
HELP = """\
Usage:  croze policy COMMAND

Commands for working with build policies

Commands:
{commands}

Run 'croze policy COMMAND --help' for more information on a command."""


class Command(Protocol):
    """What a command's module holds."""

    def run(self, argv: Sequence[str], common: Common) -> int: ...


def run(argv: Sequence[str], common: Common) -> int:
    words = take_common(argv, common, "croze policy")
    if not words or words[0] in ("-h", "--help", "help"):
        rows = (f"  {name:<10} {about}" for name, about in COMMANDS.items())
        print(HELP.format(commands="\n".join(rows)))
        return 0
    if words[0] not in COMMANDS:
        raise UsageError(f"unknown command: croze policy {words[0]}", "croze policy")
    command: Command = importlib.import_module(f"croze.cli.policy.{words[0]}")
    return command.run(words[1:], common)
