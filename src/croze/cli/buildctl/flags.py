"""The flags of `buildctl`'s commands, in urfave/cli's grammar."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from croze.cli.buildctl.connection import ConnectionSettings
from croze.cli.flags import Flags
from croze.gotypes.argv import URFAVE

_TEXTS = {
    "--addr": "Address of the daemon",
    "--tlsservername": "Name of the daemon that its certificate must have",
    "--tlscacert": "CA certificate for validation",
    "--tlscert": "Client certificate",
    "--tlskey": "Client key",
    "--tlsdir": "Directory with the three",
    "--timeout": "Seconds until the daemon must have answered",
    "--log-format": "text or json",
}


class ConnectionFlags(Flags):
    """The flags before a command, which are taken behind it, too; the last counts."""

    def __init__(self, command: str, about: str, usage: str = "[options]") -> None:
        super().__init__(command, about, usage, grammar=URFAVE)
        shown = argparse.SUPPRESS if self.is_command else None
        for name, help in _TEXTS.items():
            self.add_argument(name, help=shown or help, default=argparse.SUPPRESS)
        for name, help in (
            ("--wait", "Block until the connection becomes available"),
            ("--debug", "Show where errors come from"),
        ):
            self.add_argument(
                name, help=shown or help, action="store_true", default=argparse.SUPPRESS
            )

    @property
    def is_command(self) -> bool:
        """Whether a command's flags are among them."""
        return " " in self.prog

    def take(
        self, argv: Sequence[str], connection: ConnectionSettings
    ) -> tuple[argparse.Namespace, ConnectionSettings]:
        """A command's flags, and the connection as those behind the command have it. Raises
        `UsageError` and `InvalidRequest`; exits for `--help`."""
        args = self.read(argv, connection.common)
        connection = connection.changed(args)
        connection.check_log_format()
        return args, connection
