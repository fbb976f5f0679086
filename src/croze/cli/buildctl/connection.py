"""How the daemon is reached. Imports next to nothing: `dial-stdio` must start fast."""

from __future__ import annotations

import argparse
import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from croze.cli.flags import UsageError
from croze.errors import Unavailable

if TYPE_CHECKING:
    from croze.client.connect import Client, Tls

DEFAULT_ADDRESS = "unix:///run/buildkit/buildkitd.sock"
DEFAULT_TIMEOUT_S = "5"
_DIRECTORY = (("ca.pem", "cert.pem", "key.pem"), ("ca.crt", "tls.crt", "tls.key"))


@dataclass(frozen=True)
class Connection:
    """What the flags say of the daemon. With no `timeout_s` it is waited for."""

    address: str
    timeout_s: float | None
    ca: str = ""
    cert: str = ""
    key: str = ""
    server_name: str = ""

    @staticmethod
    def of(read: argparse.Namespace) -> Connection:
        """Raises `UsageError`."""
        try:
            timeout_s = float(read.timeout or DEFAULT_TIMEOUT_S)
        except ValueError:
            message = f"--timeout {read.timeout}: a number of seconds is needed"
            raise UsageError(message, "buildctl") from None
        if read.tlsdir and (read.tlscacert or read.tlscert or read.tlskey):
            raise UsageError("cannot specify tlsdir and tlscacert/tlscert/tlskey", "buildctl")
        ca, cert, key = _of_directory(read.tlsdir) if read.tlsdir else ("", "", "")
        return Connection(
            str(read.addr or os.environ.get("BUILDKIT_HOST") or DEFAULT_ADDRESS),
            None if read.wait else timeout_s,
            read.tlscacert or ca,
            read.tlscert or cert,
            read.tlskey or key,
            read.tlsservername,
        )

    def tls(self) -> Tls | None:
        from croze.client.connect import Tls

        def path(text: str) -> Path | None:
            return Path(text) if text else None

        return Tls(path(self.ca), path(self.cert), path(self.key), self.server_name)

    @property
    def is_secured(self) -> bool:
        return bool(self.ca or self.cert or self.server_name)

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        """Of a daemon that has answered. Raises `Unavailable` for one that hasn't, in time."""
        from croze.builders.model import Node
        from croze.drivers.remote import RemoteDriver
        from croze.errors import Unsupported

        files = {"cacert": self.ca, "cert": self.cert, "key": self.key}
        options = {key: os.path.abspath(path) for key, path in files.items() if path}
        if self.server_name:
            options["servername"] = self.server_name
        driver = RemoteDriver(Node("buildctl", self.address, driver_opts=options))
        async with driver.dial() as client:
            try:
                async with asyncio.timeout(self.timeout_s):
                    await (client.info() if self.timeout_s else client.wait_ready(_FOREVER_S))
            except Unsupported:
                pass  # an answer, too: of a daemon before BuildKit 0.11
            except TimeoutError:
                raise Unavailable(
                    f"{self.address} has not answered within {self.timeout_s:g} s"
                ) from None
            yield client


_FOREVER_S = 365 * 24 * 3600.0


def _of_directory(folder: str) -> tuple[str, str, str]:
    for names in _DIRECTORY:
        paths = [Path(folder, name) for name in names]
        if paths[0].exists():
            ca, cert, key = map(str, paths)
            return ca, cert, key
    raise UsageError(f"{folder}: no {' and no '.join(n[0] for n in _DIRECTORY)}", "buildctl")
