"""The full command line: finds the command, runs it, turns errors into messages and exit codes.

Exit codes are buildx's: 1 for an error, 102 for exhausted resources, 130 when cancelled; a command
may return its own (`run` returns its container's). Imports are lazy: start-up time is a feature.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from croze.cli import plugin
from croze.cli.common import Common, UsageError, take_common

if TYPE_CHECKING:
    from croze.errors import CrozeError

# Command -> (module below croze.cli, one-line help): the help must not import the command.
COMMANDS: dict[str, tuple[str, str]] = {
    "build": ("build", "Start a build"),
    "bake": ("bake", "Build from a file"),
    "attach": ("attach", "Show the rest of a build, and take its exit code"),
    "cancel": ("cancel", "End running builds"),
    "run": ("run", "Run an image of the local store in a container"),
    "images": ("images", "List the images of the local store"),
    "rmi": ("rmi", "Remove images from the local store"),
    "create": ("create", "Create a new builder instance"),
    "use": ("use", "Set the current builder instance"),
    "ls": ("ls", "List builder instances"),
    "inspect": ("inspect", "Inspect current builder instance"),
    "stop": ("stop", "Stop builder instance"),
    "rm": ("rm", "Remove one or more builder instances"),
    "du": ("du", "Disk usage"),
    "prune": ("prune", "Remove build cache"),
    "history": ("history.group", "Commands to work on build records"),
    "imagetools": ("imagetools.group", "Commands to work on images in registry"),
    "cache-mount": ("cache_mount.group", "Commands to work on cache mounts"),
    "policy": ("policy.group", "Commands for working with build policies"),
    "why": ("why", "Show why the steps of a build missed the cache"),
    "llb": ("llb", "Build and show LLB definitions"),
    "debug": ("debug", "Look into the daemon and its store"),
    "dial-stdio": ("dial_stdio", "Proxy current stdio streams to builder instance"),
    "version": ("version", "Show version information"),
}
HIDDEN: dict[str, tuple[str, str]] = {
    "completion": ("completion", "Generate the autocompletion script for a shell"),
    "install": ("install", "Install buildx as a 'docker builder' alias"),
    "uninstall": ("uninstall", "Uninstall the 'docker builder' alias"),
}
ALIASES = {"b": "build", "f": "bake"}

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


class Command(Protocol):
    """What a command's module holds."""

    def run(self, argv: Sequence[str], common: Common) -> int:
        """Run with the words behind the command's name; returns the exit code."""


def help_text() -> str:
    """What `croze --help` prints."""
    rows = (f"  {name:<11} {about}" for name, (_, about) in COMMANDS.items())
    return HELP.format(commands="\n".join(rows))


def preload_commands() -> None:
    """Import everything that commands use, for the warm process."""
    for module, _ in COMMANDS.values():
        importlib.import_module(f"croze.cli.{module}")
    from croze.cli import preload

    preload.everything()


def run(argv: Sequence[str]) -> int:
    """Run one command line; returns its exit code."""
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

        close = difflib.get_close_matches(name, COMMANDS, 1)
        hint = f", did you mean {close[0]}?" if close else ""
        return usage(f"unknown command: {name}{hint}", "croze")
    return guarded(name, words[1:], common)


def command_of(argv: Sequence[str]) -> str:
    """The full name of the command that a command line runs; empty if it is none."""
    try:
        words = take_common(plugin.own_words(argv), Common(), "croze")
    except UsageError:
        return ""
    return ALIASES.get(words[0], words[0]) if words else ""


def load(name: str) -> Command:
    """The module of a command."""
    module: Command = importlib.import_module(f"croze.cli.{(COMMANDS | HIDDEN)[name][0]}")
    return module


def guarded(name: str, words: Sequence[str], common: Common) -> int:
    """Run a command; errors become messages and exit codes."""
    from croze.errors import Canceled, CrozeError, os_message

    _show_warnings()
    try:
        return load(name).run(words, common)
    except UsageError as error:
        return usage(str(error), error.command)
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else 1
    except (KeyboardInterrupt, Canceled) as error:
        _leave()
        return say(str(error) or "context canceled", 130)
    except BrokenPipeError:
        return 141
    except CrozeError as error:
        return failed(error, common)
    except OSError as error:
        if common.debug:
            raise
        return say(os_message(error), 1)


def _leave() -> None:
    """Who interrupts again, because leaving takes a moment, changes nothing of how it ends."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _show_warnings() -> None:
    """What the library logs for its user goes to standard error, as buildx's warnings do."""
    import logging

    logging.basicConfig(format="%(levelname)s: %(message)s")


def say(message: str, code: int) -> int:
    print(f"ERROR: {message}", file=sys.stderr)
    return code


def usage(message: str, command: str) -> int:
    """A command line that can't be read."""
    return say(f"{message}\nSee '{command} --help'.", 1)


def failed(error: CrozeError, common: Common) -> int:
    """A build or a request failed: the excerpt of the user's file, and the one clear message."""
    from croze.errors import ResourceExhausted
    from croze.progress.errors import print_error

    print_error(error, sys.stderr)
    if common.debug:
        import traceback

        traceback.print_exception(error)
    return 102 if isinstance(error, ResourceExhausted) else 1


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
