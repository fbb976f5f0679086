"""Command lines as Docker's tools read them, on argparse.

argparse and not a larger library: those take longer to import than a cached build takes to run.
What is added here is the grammar of Go's pflag: `--load=false` for switches, no abbreviations, and
its words for a flag it doesn't know.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import NoReturn


class UsageError(Exception):
    """A command line that can't be read. The message is for the user."""

    def __init__(self, message: str, command: str) -> None:
        super().__init__(message)
        self.command = command


class Flags(argparse.ArgumentParser):
    """One command's flags."""

    def __init__(self, command: str, about: str, usage: str) -> None:
        super().__init__(
            prog=command,
            description=about,
            usage=f"{command} {usage}",
            allow_abbrev=False,
            formatter_class=Help,
        )
        self.switches: set[str] = set()

    def switch(self, *names: str, help: str, hidden: bool = False) -> None:
        """A flag without a value, or with `=true` or `=false`."""
        self.switches.update(names)
        self.add_argument(*names, action="store_true", help=argparse.SUPPRESS if hidden else help)

    def text(self, *names: str, help: str, metavar: str = "string", default: str = "") -> None:
        """A flag with one value; given twice, the last counts."""
        self.add_argument(*names, help=help, metavar=metavar, default=default)

    def alias(self, name: str, *, of: str, help: str = argparse.SUPPRESS) -> None:
        """Another name of a text flag; whichever comes last counts."""
        self.add_argument(name, dest=of, help=help, default=argparse.SUPPRESS)

    def shorthand(self, name: str, *, of: str, value: str, help: str) -> None:
        """A switch that gives a text flag a value; `=false` does nothing."""
        self.switches.add(name)
        self.add_argument(
            name, dest=of, action="store_const", const=value, help=help, default=argparse.SUPPRESS
        )

    def texts(self, *names: str, help: str, metavar: str = "stringArray") -> None:
        """A flag that may be given many times."""
        self.add_argument(*names, help=help, metavar=metavar, action="append", default=[])

    def read(self, arguments: Sequence[str]) -> argparse.Namespace:
        """Parse. Raises `UsageError`; exits for `--help`."""
        plain, off = self._split_switches(arguments)
        known, unknown = self.parse_known_intermixed_args(plain)
        for word in unknown:
            if word.startswith("--"):
                raise UsageError(f"unknown flag: {word.partition('=')[0]}", self.prog)
            if word.startswith("-") and word != "-":
                raise UsageError(f"unknown shorthand flag: {word[1]!r} in {word}", self.prog)
            raise UsageError(f"unexpected argument: {word}", self.prog)
        for name in off:
            setattr(known, name.lstrip("-").replace("-", "_"), False)
        return known

    def names_with_value(self) -> set[str]:
        """The names of flags that the next word may belong to."""
        return {
            name for action in self._actions if action.nargs != 0 for name in action.option_strings
        }

    def _split_switches(self, arguments: Sequence[str]) -> tuple[list[str], list[str]]:
        """Resolve `--switch=value`: plain arguments, and the switches that are turned off."""
        plain: list[str] = []
        off: list[str] = []
        for word in arguments:
            name, equals, value = word.partition("=")
            if not equals or name not in self.switches:
                plain.append(word)
            elif value.lower() in ("1", "t", "true"):
                plain.append(name)
            elif value.lower() in ("0", "f", "false"):
                off.append(name)
            else:
                raise UsageError(
                    f'invalid argument "{value}" for "{name}" flag: strconv.ParseBool: '
                    f'parsing "{value}": invalid syntax',
                    self.prog,
                )
        return plain, off

    def error(self, message: str) -> NoReturn:
        """Reword argparse's complaints as pflag has them."""
        name, _, problem = message.removeprefix("argument ").partition(": ")
        if problem.startswith("expected"):
            message = f"flag needs an argument: {name.rpartition('/')[2]}"
        raise UsageError(message, self.prog)


class Help(argparse.HelpFormatter):
    """Wider columns; one line for flag and text where they fit."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=34, width=100)
