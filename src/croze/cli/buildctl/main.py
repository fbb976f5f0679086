"""The command line of `buildctl`: flags of the connection, then a command with flags of its own."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Protocol

from croze.cli.buildctl.connection import DEFAULT_ADDRESS, ConnectionSettings
from croze.cli.buildctl.flags import ConnectionFlags
from croze.cli.buildctl.text import no_topic
from croze.cli.common import Common
from croze.cli.flags import Flags, UsageError
from croze.cli.guard import internal_error, take_interrupts
from croze.errors import CrozeError

NAME = "buildctl"
COMMANDS = {
    "du": ("usage", "disk usage"),
    "prune": ("usage", "clean up build cache"),
    "prune-histories": ("records", "clean up build histories"),
    "build": ("build", "build"),
    "debug": ("debug", "debug utilities"),
    "dial-stdio": ("dial", "proxy the stdio stream to the daemon connection"),
}
ALIASES = {"b": "build", "h": "help"}
_HELP = "help"
_ABOUT_HELP = "Shows a list of commands or help for one command"

HELP = """\
NAME:
   buildctl - build utility

USAGE:
   buildctl [global options] [command [command options]]

VERSION:
   {version}

COMMANDS:
{commands}

GLOBAL OPTIONS:
   --debug                 enable debug output in logs
   --addr string           buildkitd address (default: "{address}")
   --log-format string     log formatter: json or text (default: "text")
   --tlsservername string  buildkitd server name for certificate validation
   --tlscacert string      CA certificate for validation
   --tlscert string        client certificate
   --tlskey string         client key
   --tlsdir string         directory with ca.pem, cert.pem, key.pem (or ca.crt, tls.crt, tls.key)
   --timeout int           seconds until the connection must be there (default: 5)
   --wait                  block until the connection becomes available
   --help, -h              show help
   --version, -v           print the version
"""


class BuildctlCommand(Protocol):
    """A command's function: it is told the name, as a module may hold several."""

    def run(self, name: str, argv: Sequence[str], connection: ConnectionSettings) -> int:
        """Run the command with the words after its name; returns the exit code."""


def main(argv: Sequence[str]) -> int:
    """Run one command line of `buildctl`; its exit code."""
    from croze.errors import os_message

    common = Common()
    try:
        return _run(argv, common)
    except UsageError as error:
        print(f"Incorrect Usage: {error}\n\nerror: {error}", file=sys.stderr)
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else 1
    except KeyboardInterrupt:
        print("error: context canceled", file=sys.stderr)
    except BrokenPipeError:
        return 141
    except CrozeError as error:
        _failed(error, debug=common.debug)
    except OSError as error:
        print(f"error: {os_message(error)}", file=sys.stderr)
    except Exception as error:
        print(f"error: {internal_error(error, debug=common.debug)}", file=sys.stderr)
    return 1


def _run(argv: Sequence[str], common: Common) -> int:
    flags = _flags()
    try:
        args, words = flags.read_options(argv, common, until=_is_command)
        connection = ConnectionSettings.of({}, common).changed(args)
    except UsageError:
        print(flags.format_help(), end="")
        raise
    if args.version:
        from croze.version import VERSION

        print(f"{NAME} croze v{VERSION}")
        return 0
    if words[:1] and ALIASES.get(words[0], words[0]) == _HELP:
        words = [*words[1:2], "--help"] if words[1:] else []
    if not words:
        print(flags.format_help(), end="")
        return 0
    take_interrupts()
    return _command(words, connection)


def _failed(error: CrozeError, *, debug: bool) -> None:
    """The lines of the user's file, and the message."""
    from croze.errors import SourceDetail
    from croze.progress.errors import excerpt

    sources = (one for one in error.details if isinstance(one, SourceDetail))
    sys.stderr.write("".join(map(excerpt, sources)))
    print(f"error: {error}", file=sys.stderr)
    if debug:
        import traceback

        traceback.print_exception(error)


class _RootFlags(ConnectionFlags):
    def format_help(self) -> str:
        from croze.version import VERSION

        short = {name: alias for alias, name in ALIASES.items()}
        abouts = {name: about for name, (_, about) in COMMANDS.items()} | {"help": _ABOUT_HELP}
        names = {name: ", ".join(filter(None, (name, short.get(name)))) for name in abouts}
        rows = (f"   {names[name]:<16} {about}" for name, about in abouts.items())
        address = os.environ.get("BUILDKIT_HOST") or DEFAULT_ADDRESS
        return HELP.format(version=f"v{VERSION}", commands="\n".join(rows), address=address)


def _flags() -> Flags:
    flags = _RootFlags(NAME, "build utility", "[global options] [command [command options]]")
    flags.switch("-v", "--version", help="Show the version")
    return flags


def _is_command(word: str) -> bool:
    return word in COMMANDS or word in ALIASES or word == _HELP


def _command(words: Sequence[str], connection: ConnectionSettings) -> int:
    name = ALIASES.get(words[0], words[0])
    if name not in COMMANDS:
        return no_topic(words[0])
    command: BuildctlCommand = importlib.import_module(f"croze.cli.buildctl.{COMMANDS[name][0]}")
    return command.run(name, words[1:], connection)
