"""How the daemon is reached. Imports next to nothing: `dial-stdio` must start fast."""

from __future__ import annotations

import argparse
import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from croze.cli.common import Common, UsageError
from croze.errors import InvalidRequest, Unavailable
from croze.gotypes.numbers import parse_int_literal
from croze.gotypes.quote import quote

if TYPE_CHECKING:
    from croze.client.connect import Client
    from croze.rpc.tls import Tls

DEFAULT_ADDRESS = "unix:///run/buildkit/buildkitd.sock"
DEFAULT_TIMEOUT_S = "5"
_DIRECTORY = (("ca.pem", "cert.pem", "key.pem"), ("ca.crt", "tls.crt", "tls.key"))


class ConnectionSettings(Struct, frozen=True):
    """The daemon that the flags name, and how it is spoken to. With no `timeout_s` it is waited
    for."""

    common: Common
    flag_texts: Mapping[str, str]
    """The flags' texts by their names."""
    address: str
    timeout_s: float | None
    ca: str = ""
    cert: str = ""
    key: str = ""
    server_name: str = ""

    @staticmethod
    def of(flag_texts: Mapping[str, str], common: Common) -> ConnectionSettings:
        """The settings that the texts of flags, by name, say. Raises `UsageError`."""
        folder = flag_texts.get("tlsdir", "")
        ca, cert, key = (flag_texts.get(name, "") for name in ("tlscacert", "tlscert", "tlskey"))
        if folder:
            if ca or cert or key:
                raise UsageError("cannot specify tlsdir and tlscacert/tlscert/tlskey", "buildctl")
            ca, cert, key = _of_directory(folder)
        timeout_s = _seconds(flag_texts.get("timeout", DEFAULT_TIMEOUT_S))
        return ConnectionSettings(
            common,
            flag_texts,
            flag_texts.get("addr") or os.environ.get("BUILDKIT_HOST") or DEFAULT_ADDRESS,
            None if flag_texts.get("wait") else timeout_s,
            ca,
            cert,
            key,
            flag_texts.get("tlsservername", ""),
        )

    def changed(self, args: argparse.Namespace) -> ConnectionSettings:
        """The settings with what more flags say. Raises `UsageError`."""
        values = {name: getattr(args, name, None) for name in _FLAGS}
        more = {
            name: "true" if value is True else value or ""
            for name, value in values.items()
            if value is not None
        }
        return ConnectionSettings.of({**self.flag_texts, **more}, self.common) if more else self

    def check_log_format(self) -> None:
        """The format of logs is one that there is. Raises `InvalidRequest`. Nothing is logged, in
        whatever format."""
        format = self.flag_texts.get("log_format", "")
        if format not in ("", "text", "json"):
            raise InvalidRequest(f"unsupported log type {quote(format)}")

    def tls(self) -> Tls | None:
        from croze.rpc.tls import Tls

        def path(text: str) -> Path | None:
            return Path(text) if text else None

        return Tls(path(self.ca), path(self.cert), path(self.key), self.server_name)

    @property
    def is_secured(self) -> bool:
        return bool(self.ca or self.cert or self.server_name)

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        """A client of a daemon that has answered. Raises `Unavailable` for one that hasn't, in
        time."""
        from croze.builders.model import BuilderNode
        from croze.drivers.remote import RemoteDriver
        from croze.errors import Unsupported

        files = {"cacert": self.ca, "cert": self.cert, "key": self.key}
        options = {key: os.path.abspath(path) for key, path in files.items() if path}
        if self.server_name:
            options["servername"] = self.server_name
        driver = RemoteDriver(BuilderNode("buildctl", self.address, driver_opts=options))
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
_FLAGS = (
    *("addr", "timeout", "wait", "log_format"),
    *("tlsservername", "tlscacert", "tlscert", "tlskey", "tlsdir"),
)


def _seconds(text: str) -> float:
    try:
        return parse_int_literal(text)
    except InvalidRequest as error:
        message = f"invalid value {quote(text)} for flag -timeout: {error}"
        raise UsageError(message, "buildctl") from None


def _of_directory(folder: str) -> tuple[str, str, str]:
    for names in _DIRECTORY:
        paths = [Path(folder, name) for name in names]
        if paths[0].exists():
            ca, cert, key = map(str, paths)
            return ca, cert, key
    raise UsageError(f"{folder}: no {' and no '.join(n[0] for n in _DIRECTORY)}", "buildctl")
