"""The full command line: finds the command and runs it.

Imports are lazy: start-up time is a feature.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from croze.cli import plugin
from croze.cli.commands import ALIASES, COMMANDS, HIDDEN
from croze.cli.common import Common, UsageError, take_common
from croze.cli.guard import guarded, say, usage

HELP = """\
Usage:  croze [OPTIONS] COMMAND

Build container images

Options:
      --builder string   The daemon to use, e.g. unix:///run/buildkit/buildkitd.sock
  -D, --debug            Say more, and show where errors come from
  -h, --help             Show this message
      --version          Show version information

Commands:
{commands}

Run 'croze COMMAND --help' for more information on a command."""


def help_text() -> str:
    """What `croze --help` prints."""
    rows = (f"  {name:<11} {about}" for name, (_, about) in COMMANDS.items())
    return HELP.format(commands="\n".join(rows))


def run(argv: Sequence[str]) -> int:
    """Run one command line; returns its exit code."""
    try:
        return _run(argv)
    except BrokenPipeError:
        return 141
    except OSError as error:  # what is printed here can't be
        from croze.errors import os_message

        return say(os_message(error), 1)


def _run(argv: Sequence[str]) -> int:
    common = Common()
    try:
        words = take_common(plugin.own_words(argv), common, "croze")
    except UsageError as error:
        return usage(str(error), error.command)
    if words[:1] == [plugin.METADATA]:
        print(plugin.metadata())
        return 0
    if words and words[0] in ("__complete", "__completeNoDesc"):
        from croze.cli.complete import run as complete

        return complete(words[0], plugin.without_name(words[1:]))
    if words[:1] == ["help"] and len(words) > 1:
        words = [*words[1:], "--help"]
    if not words or words[0] in ("-h", "--help", "help"):
        print(help_text())
        return 0
    if words[0] == "--version":
        words = ["version"]
    if words[0].startswith("-"):
        from croze.cli.flags import unknown_flag

        return usage(unknown_flag(words[0]), "croze")
    name = ALIASES.get(words[0], words[0])
    if name not in COMMANDS and name not in HIDDEN:
        import difflib

        from croze.gotypes.quote import quote

        close = difflib.get_close_matches(name, COMMANDS, 1)
        hint = f", did you mean {close[0]}?" if close else ""
        return usage(f"unknown command: {quote(name)}{hint}", "croze")
    return guarded(name, words[1:], common)


def command_of(argv: Sequence[str]) -> str:
    """The full name of the command that a command line runs; empty if it is none."""
    try:
        words = take_common(plugin.own_words(argv), Common(), "croze")
    except UsageError:
        return ""
    return ALIASES.get(words[0], words[0]) if words else ""


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
