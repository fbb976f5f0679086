"""`buildctl`, as far as others run it beside a daemon: `dial-stdio`, by which buildx and croze
reach one in a container or on another machine, and `debug workers` and `debug info`, by which they
and Kubernetes ask whether it answers.

A link of that name to `croze` is all that it takes. Source: BuildKit `cmd/buildctl`.
"""

from __future__ import annotations

import asyncio
import os
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from croze.cli.flags import Flags, UsageError
from croze.errors import CrozeError, Unavailable

if TYPE_CHECKING:
    from croze.client.connect import Client, Tls

NAME = "buildctl"
DEFAULT_ADDRESS = "unix:///run/buildkit/buildkitd.sock"
DEFAULT_TIMEOUT_S = "5"
TAB = 8


def main(argv: Sequence[str]) -> int:
    """The exit code."""
    from croze.errors import os_message

    try:
        return _run(argv)
    except (CrozeError, UsageError) as error:
        print(f"error: {error}", file=sys.stderr)
    except OSError as error:
        print(f"error: {os_message(error)}", file=sys.stderr)
    return 1


def _run(argv: Sequence[str]) -> int:
    made = Flags(NAME, "The parts of buildctl that croze has", "[OPTIONS] dial-stdio|debug")
    made.text("--addr", help=f"Address of the daemon (default {DEFAULT_ADDRESS})")
    for name in ("--tlscacert", "--tlscert", "--tlskey", "--tlsservername"):
        made.text(name, help="Of the connection to the daemon")
    made.text("--timeout", help="Seconds until the daemon must have answered")
    made.switch("--version", help="Show the version")
    made.add_argument("words", nargs="*", metavar="dial-stdio|debug")
    from croze.cli.common import Common

    read = made.read(argv, Common())
    if read.version:
        from croze import __version__

        print(f"{NAME} croze v{__version__}")
        return 0
    match read.words:
        case ["dial-stdio"]:
            asyncio.run(_dial(read))
        case ["debug", "workers"]:
            asyncio.run(_ask(read, "workers"))
        case ["debug", "info"]:
            asyncio.run(_ask(read, "info"))
        case _:
            raise UsageError(
                f"{NAME} {' '.join(read.words)}: of buildctl, croze has dial-stdio, debug workers "
                "and debug info; see croze --help for its own commands",
                NAME,
            )
    return 0


def _address(read: Namespace) -> str:
    return str(read.addr or os.environ.get("BUILDKIT_HOST") or DEFAULT_ADDRESS)


def _tls(read: Namespace) -> Tls | None:
    from croze.client.connect import Tls

    if not (read.tlscacert or read.tlscert or read.tlskey or read.tlsservername):
        return None

    def path(text: str) -> Path | None:
        return Path(text) if text else None

    return Tls(path(read.tlscacert), path(read.tlscert), path(read.tlskey), read.tlsservername)


async def _dial(read: Namespace) -> None:
    """Until either side has said all."""
    from croze.cli.dial_stdio import stdio
    from croze.drivers.sockets import socket_streams
    from croze.drivers.tunnel import carry

    secured = read.tlscacert or read.tlscert or read.tlsservername
    tls = _tls(read) if secured else None  # which would import grpc
    async with socket_streams(_address(read), tls) as far:
        await carry(await stdio(), far)


async def _ask(read: Namespace, what: str) -> None:
    from croze.client.connect import connect

    try:
        seconds = float(read.timeout or DEFAULT_TIMEOUT_S)
    except ValueError:
        raise UsageError(f"--timeout {read.timeout}: a number of seconds is needed", NAME) from None
    async with connect(_address(read), _tls(read)) as client:
        try:
            async with asyncio.timeout(seconds):
                print(await (_workers(client) if what == "workers" else _info(client)))
        except TimeoutError:
            raise Unavailable(f"{_address(read)} has not answered within {seconds:g} s") from None


async def _workers(client: Client) -> str:
    from croze.image import platform as platforms
    from croze.image.platform import Platform

    rows = [("ID", "PLATFORMS")]
    for worker in await client.workers():
        texts = (
            platforms.format(
                platforms.normalize(
                    Platform(p.Architecture, p.OS, p.OSVersion, tuple(p.OSFeatures), p.Variant)
                )
            )
            for p in worker.platforms
        )
        rows.append((worker.ID, ",".join(texts)))
    width = -(-(max(len(id) for id, _ in rows) + 1) // TAB) * TAB
    return "\n".join(id + "\t" * -(-(width - len(id)) // TAB) + rest for id, rest in rows)


async def _info(client: Client) -> str:
    version = await client.info()
    return f"BuildKit:\t{version.package} {version.version} {version.revision}"
