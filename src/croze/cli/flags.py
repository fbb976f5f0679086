"""Command lines as Docker's tools read them, on argparse.

argparse and not a larger library: those take longer to import than a cached build takes to run.
It keeps the table of flags and what becomes of their values; which word is what, the grammar says
(`croze.gotypes.argv`: Go's pflag here, urfave/cli for `buildctl`).
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, NoReturn

from croze.cli.common import BUILDER, DEBUG, Common, UsageError
from croze.errors import CrozeError
from croze.gotypes.argv import PFLAG, BadFlag, CommandLine, FlagNames, Grammar
from croze.gotypes.quote import quote

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

__all__ = ["Flags", "UsageError", "default_platform", "unknown_flag"]


class Flags(argparse.ArgumentParser):
    """The flags of one command. With a grammar other than pflag's it is no command of croze's own:
    the options of those are not taken, and words that belong to no flag are passed over."""

    def __init__(self, command: str, about: str, usage: str, *, grammar: Grammar = PFLAG) -> None:
        super().__init__(
            prog=command,
            description=about,
            usage=f"{command} {usage}".rstrip(),
            allow_abbrev=False,
        )
        self._grammar = grammar
        self._warnings: dict[str, str] = {}
        self._optional: list[str] = []
        self._required: list[str] = []
        self._deprecation = ""
        if grammar is PFLAG:
            self._add_common()

    def _add_common(self) -> None:
        self.add_argument(
            *BUILDER, help="The daemon to use", metavar="string", default=argparse.SUPPRESS
        )
        about_debug = "Say more, and show where errors come from"
        self.add_argument(*DEBUG, help=about_debug, action="store_true", default=argparse.SUPPRESS)

    def deprecate(self, instead: str) -> None:
        """Have it said of the command, before all else, that it is deprecated, and what to do
        instead."""
        name = self.prog.rpartition(" ")[2]
        self._deprecation = f'Command "{name}" is deprecated, {instead}'

    def switch(self, *names: str, help: str, hidden: bool = False) -> None:
        """A flag without a value, or with `=true` or `=false`."""
        self.add_argument(*names, action="store_true", help=argparse.SUPPRESS if hidden else help)

    def choice(self, *names: str, help: str, hidden: bool = False) -> None:
        """A switch of which it counts whether it was given; None if it wasn't."""
        shown = argparse.SUPPRESS if hidden else help
        self.add_argument(*names, action="store_true", help=shown, default=None)

    def text(self, *names: str, help: str, metavar: str = "string", default: str = "") -> None:
        """A flag with one value; given twice, the last counts."""
        self.add_argument(*names, help=help, metavar=metavar, default=default)

    def alias(self, name: str, *, of: str, help: str = argparse.SUPPRESS) -> None:
        """Another name of a text flag; whichever comes last counts."""
        self.add_argument(name, dest=of, help=help, default=argparse.SUPPRESS)

    def shorthand(self, name: str, *, of: str, value: str, help: str) -> None:
        """A switch that gives a text flag a value; `=false` does nothing."""
        self.add_argument(
            name, dest=of, action="store_const", const=value, help=help, default=argparse.SUPPRESS
        )

    def texts(self, *names: str, help: str, metavar: str = "stringArray") -> None:
        """A flag that may be given many times."""
        self.add_argument(*names, help=help, metavar=metavar, action="append", default=[])

    def slices(self, name: str, *, help: str, metavar: str = "strings") -> None:
        """A flag that may be given many times, with several values in a line of CSV."""
        self.add_argument(name, help=help, metavar=metavar, action="extend", type=_csv, default=[])

    def one_argument(self, name: str, *, metavar: str) -> None:
        """Take at most one argument; None without."""
        self._optional.append(name)
        self.add_argument(name, metavar=metavar, nargs="*")

    def some_arguments(self, name: str, *, metavar: str) -> None:
        """Take at least one argument."""
        self._required.append(name)
        self.add_argument(name, metavar=metavar, nargs="*")

    def legacy(self, *names: str, of: str, key: str) -> None:
        """An old flag, hidden: `--memory=1g` for `--resource=memory=1g`; kept as `key=value`."""
        self.add_argument(
            *names,
            dest=of,
            help=argparse.SUPPRESS,
            action="append",
            type=lambda value: f"{key}={value}",
            default=[],
        )

    def without_effect(self, name: str, *, value: bool, warning: str = "") -> None:
        """A flag of the builder before BuildKit, hidden; it is taken as buildx takes it: in
        silence, or with a warning. `value`: whether it has one, or is a switch."""
        if value:
            self.add_argument(name, help=argparse.SUPPRESS, default=None)
        else:
            self.add_argument(name, help=argparse.SUPPRESS, action="store_true", default=None)
        if warning:
            self._warnings[name] = warning

    def _print_message(self, message: str, file: SupportsWrite[str] | None = None) -> None:
        """argparse's own passes over what it can't write."""
        (file or sys.stderr).write(message)

    def format_help(self) -> str:
        """The help as Docker's tools show it: flags by their long names, columns as wide as it
        takes."""
        rows = sorted(filter(None, map(_row, self._actions)))
        width = max(len(shown) for _, shown, _ in rows) + 3
        options = (f"{shown:<{width}}{about}".rstrip() for _, shown, about in rows)
        lines = [f"Usage:  {self.usage}", "", self.description or "", "", "Options:", *options]
        return "\n".join(lines) + "\n"

    def read(self, arguments: Sequence[str], common: Common) -> argparse.Namespace:
        """Parse; options of every command go into `common`. Raises `UsageError`; exits for
        `--help`."""
        line = self._line(arguments)
        return self._parsed(line.values, line.words, common)

    def read_options(
        self,
        arguments: Sequence[str],
        common: Common,
        *,
        until: Callable[[str], bool] = lambda word: True,
    ) -> tuple[argparse.Namespace, Sequence[str]]:
        """The flags before the first word that is none, or the first such word of which `until`
        holds; and all words that are none."""
        line = self._line(arguments, until)
        return self._parsed(line.values, [], common), line.words

    def _line(
        self, arguments: Sequence[str], until: Callable[[str], bool] = lambda word: False
    ) -> CommandLine:
        if _describing.get():
            raise _Described(self)
        if self._deprecation:
            print(self._deprecation, file=sys.stderr)
        flags = [FlagNames((*a.option_strings,), switch=a.nargs == 0) for a in self.actions()]
        try:
            return self._grammar.read(arguments, flags, until=until)
        except BadFlag as error:
            raise UsageError(str(error), self.prog) from None

    def _parsed(
        self,
        values: Sequence[tuple[FlagNames, str]],
        words: Sequence[str],
        common: Common,
    ) -> argparse.Namespace:
        last = dict(values)
        off = {flag for flag, value in last.items() if flag.switch and value == "false"}
        plain = [_word(flag, value) for flag, value in values if flag not in off]
        args, rest = self.parse_known_args([*plain, "--", *words] if words else plain)
        self._refuse_unexpected(rest)
        for flag in off:
            action = self._option_string_actions[flag.names[0]]
            if action.const is True:
                setattr(args, action.dest, False)
        self._count_arguments(args)
        common.builder = getattr(args, "builder", common.builder)
        common.debug = getattr(args, "debug", common.debug)
        for name, warning in self._warnings.items():
            if getattr(args, name.lstrip("-").replace("-", "_")) is not None:
                print(f"WARNING: {warning}", file=sys.stderr)
        return args

    def _refuse_unexpected(self, words: Sequence[str]) -> None:
        if self._grammar is PFLAG and any(word != "--" for word in words):
            count = sum(not action.option_strings for action in self._actions)
            arguments = "1 argument" if count == 1 else f"{count} arguments"
            raise UsageError(f"'{self.prog}' requires {arguments}", self.prog)

    def _count_arguments(self, args: argparse.Namespace) -> None:
        for name in self._optional:
            words: list[str] = getattr(args, name)
            if len(words) > 1:
                raise UsageError(f"'{self.prog}' requires at most 1 argument", self.prog)
            setattr(args, name, words[0] if words else None)
        for name in self._required:
            if not getattr(args, name):
                raise UsageError(f"'{self.prog}' requires at least 1 argument", self.prog)

    def actions(self) -> list[argparse.Action]:
        """All that begin with a dash, by their long names."""
        flags = (action for action in self._actions if action.option_strings)
        return sorted(flags, key=lambda action: max(action.option_strings, key=len))

    def names_with_value(self) -> set[str]:
        """The names of flags that the next word may belong to."""
        return {
            name for action in self._actions if action.nargs != 0 for name in action.option_strings
        }

    def error(self, message: str) -> NoReturn:
        """Raise argparse's complaint of a value, for the user."""
        raise UsageError(message, self.prog)

    def check(self, name: str, texts: Sequence[str], read: Callable[[str], object]) -> None:
        """See that a flag's values can be read. Raises `UsageError` for one that can't."""
        for text in texts:
            try:
                read(text)
            except CrozeError as error:
                shown = f"invalid argument {quote(text)} for {quote(name)} flag"
                raise UsageError(f"{shown}: {error}", self.prog) from None


def _word(flag: FlagNames, value: str) -> str:
    """A flag and its value as argparse takes them for certain, whatever the value begins with."""
    name = max(flag.names, key=len)
    return name if flag.switch else f"{name}={value}"


class _Described(Exception):
    """A command would read its flags now."""

    def __init__(self, flags: Flags) -> None:
        super().__init__()
        self.flags = flags


_describing: ContextVar[bool] = ContextVar("describing", default=False)


def described(run: Callable[[], object]) -> Flags | None:
    """The flags that a command reads when it runs; none if it comes to its end without any.
    Commands read them before they do anything."""
    token = _describing.set(True)
    try:
        run()
    except _Described as told:
        return told.flags
    finally:
        _describing.reset(token)
    return None


def _row(action: argparse.Action) -> tuple[str, str, str] | None:
    """A flag's long name, how it is shown, and what it is for; None for what is not shown."""
    if not action.option_strings or action.help is argparse.SUPPRESS:
        return None
    short = next((name for name in action.option_strings if not name.startswith("--")), "")
    long = next((name for name in action.option_strings if name.startswith("--")), short)
    kind = f" {action.metavar}" if action.metavar and action.nargs != 0 else ""
    start = f"  {short}, " if short and short != long else "      "
    about = "Show this message" if long == "--help" else action.help or ""
    plain = isinstance(action.default, str) and action.default not in ("", argparse.SUPPRESS)
    default = f' (default "{action.default}")' if plain and "(default" not in about else ""
    return long.lstrip("-"), f"{start}{long}{kind}", about + default


def unknown_flag(word: str) -> str:
    """pflag's words for a flag that nobody knows."""
    if word.startswith("--"):
        return f"unknown flag: {word.partition('=')[0]}"
    return f"unknown shorthand flag: {word[1]!r} in {word}"


def default_platform() -> list[str]:
    """The platform of `DOCKER_DEFAULT_PLATFORM`, which counts where none is given."""
    platform = os.environ.get("DOCKER_DEFAULT_PLATFORM")
    return [platform] if platform else []


def _csv(text: str) -> list[str]:
    from croze.gotypes.csv_line import fields

    return fields(text) if text else []
