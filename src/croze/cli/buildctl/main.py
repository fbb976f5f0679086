"""The command line of `buildctl`: flags of the connection, then a command with flags of its own."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Protocol

from croze.cli.buildctl.connection import DEFAULT_ADDRESS, Connection
from croze.cli.buildctl.text import no_topic
from croze.cli.common import Common
from croze.cli.flags import Flags, UsageError
from croze.cli.guard import take_interrupts
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
ALIASES = {"b": "build"}

HELP = """\
NAME:
   buildctl - build utility

USAGE:
   buildctl [global options] [command [command options]]

COMMANDS:
{commands}

GLOBAL OPTIONS:
   --debug                enable debug output in logs
   --addr string          buildkitd address (default: "{address}")
   --tlsservername string buildkitd server name for certificate validation
   --tlscacert string     CA certificate for validation
   --tlscert string       client certificate
   --tlskey string        client key
   --tlsdir string        directory with ca.pem, cert.pem, key.pem (or ca.crt, tls.crt, tls.key)
   --timeout int          seconds until the connection must be there (default: 5)
   --wait                 block until the connection becomes available
   --help, -h             show help
   --version, -v          print the version"""


class Command(Protocol):
    """What a command's module holds: the name is told to modules of several."""

    def run(self, name: str, argv: Sequence[str], connection: Connection) -> int: ...


def main(argv: Sequence[str]) -> int:
    """The exit code."""
    from croze.errors import os_message

    debug = False
    try:
        before, rest = _parted(argv)
        if not {"-h", "--help"}.isdisjoint(before):
            print(_help())
            return 0
        read = _flags().read(before, Common())
        debug = bool(getattr(read, "debug", False))
        if read.version:
            from croze.version import VERSION

            print(f"{NAME} croze v{VERSION}")
            return 0
        if not rest or rest[0] in ("help", "h"):
            print(_help())
            return 0
        take_interrupts()
        return _command(rest, Connection.of(read))
    except UsageError as error:
        message = str(error).replace("unknown flag: --", "flag provided but not defined: -")
        print(f"Incorrect Usage: {message}\n\nerror: {message}", file=sys.stderr)
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else 1
    except KeyboardInterrupt:
        print("error: context canceled", file=sys.stderr)
    except BrokenPipeError:
        return 141
    except CrozeError as error:
        _failed(error, debug=debug)
    except OSError as error:
        print(f"error: {os_message(error)}", file=sys.stderr)
    return 1


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


def _parted(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """The flags before the command, and the rest from the command on."""
    takers = _flags().names_with_value()
    at = 0
    while at < len(argv) and argv[at].startswith("-") and argv[at] != "--":
        at += 2 if argv[at] in takers else 1
    return list(argv[:at]), list(argv[at:])


def _flags() -> Flags:
    made = Flags(NAME, "build utility", "[global options] [command [command options]]")
    made.text("--addr", help="Address of the daemon")
    for name in ("--tlscacert", "--tlscert", "--tlskey", "--tlsservername", "--tlsdir"):
        made.text(name, help="Of the connection to the daemon")
    made.text("--timeout", help="Seconds until the daemon must have answered")
    made.text("--log-format", help="text or json")
    made.switch("--wait", help="Block until the connection becomes available")
    made.switch("-v", "--version", help="Show the version")
    return made


def _help() -> str:
    rows = (f"   {name:<16} {about}" for name, (_, about) in COMMANDS.items())
    address = os.environ.get("BUILDKIT_HOST") or DEFAULT_ADDRESS
    return HELP.format(commands="\n".join(rows), address=address)


def _command(words: Sequence[str], connection: Connection) -> int:
    name = ALIASES.get(words[0], words[0])
    if name not in COMMANDS:
        return no_topic(words[0])
    command: Command = importlib.import_module(f"croze.cli.buildctl.{COMMANDS[name][0]}")
    return command.run(name, words[1:], connection)
