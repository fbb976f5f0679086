"""Commands that have commands of their own: `croze history ls`."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from croze.cli.common import UsageError, take_common
from croze.gotypes.quote import quote

if TYPE_CHECKING:
    from croze.cli.common import Common

_HELP = """\
Usage:  {name} COMMAND

{about}

Commands:
{commands}

Run '{name} COMMAND --help' for more information on a command."""


class SubCommand(Protocol):
    """A module of a command that is below another."""

    def run(self, argv: Sequence[str], common: Common) -> int:
        """Run the command with the words after its name; returns the exit code."""


class CommandGroup(Struct, frozen=True):
    """A command that has commands. `commands`: the module of each below `package`, and what the
    command is for."""

    name: str
    about: str
    package: str
    commands: Mapping[str, tuple[str, str]]

    def run(self, argv: Sequence[str], common: Common) -> int:
        """Run the command that the first word names. Raises `UsageError` if there is no such
        one."""
        words = take_common(argv, common, self.name)
        if not words or words[0] in ("-h", "--help", "help"):
            rows = (f"  {command:<10} {about}" for command, (_, about) in self.commands.items())
            print(_HELP.format(name=self.name, about=self.about, commands="\n".join(rows)))
            return 0
        if words[0].startswith("-"):
            raise UsageError(f"unknown flag: {words[0]}", self.name)
        if words[0] not in self.commands:
            raise UsageError(f"unknown command: {quote(words[0])}", self.name)
        module, _ = self.commands[words[0]]
        command: SubCommand = importlib.import_module(f"{self.package}.{module}")
        return command.run(words[1:], common)
