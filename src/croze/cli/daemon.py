"""Dialling the daemon from a command: which one, and the services of `crozed` itself."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from croze.files.docker_config import buildx_dir

if TYPE_CHECKING:
    from croze.builders.model import Builder, Node
    from croze.cli.common import Common
    from croze.client.connect import Client, Dial
    from croze.drivers.contract import Driver

T = TypeVar("T")
OWN = "croze"


@dataclass(frozen=True)
class Reach:
    """How to reach a daemon, and what is known of it."""

    dial: Dial
    builder: str = OWN
    node: str = OWN
    """Under these names its builds are remembered."""
    in_engine: bool = False
    """It is the builder inside a Docker engine."""
    own: bool = False
    """It is the user's own `crozed`."""


def dialler(common: Common) -> Dial:
    """How a command reaches the daemon it works with: see `reach`."""
    return reach(common).dial


def reach(common: Common, platforms: Sequence[str] = ()) -> Reach:
    """The daemon of the builder or address that `--builder` names, of `CROZE_HOST` or
    `BUILDKIT_HOST`, of the builder chosen with `use`, or the user's own, which is started. Of
    several nodes it is the first with all `platforms`.

    Raises `CrozeError` for a builder that is not there or can't be dialled.
    """
    from croze.client.connect import connect
    from croze.drivers import local

    named = common.builder or local.address_from_environment() or ""
    if is_address(named):
        return Reach(lambda: connect(named))
    if not named and not os.path.exists(buildx_dir() / "current"):
        return Reach(lambda: _own(debug=common.debug), own=True)
    return _of_builder(named, platforms, debug=common.debug)


def is_address(builder: str) -> bool:
    """Whether `--builder` names no builder but where a daemon listens."""
    return ":" in builder


@asynccontextmanager
async def _own(*, debug: bool) -> AsyncIterator[Client]:
    """The user's own daemon, started if it isn't there."""
    from croze.client.connect import connect
    from croze.drivers import local

    found, started = local.ensure_daemon()
    if started and debug:
        print(f"started the daemon at {found}", file=sys.stderr)
    async with connect(found) as client:
        yield client


def driver_of(common: Common, platforms: Sequence[str] = ()) -> Driver:
    """The driver of the node that a command works with. Raises `CrozeError`."""
    from croze.drivers import local

    return _chosen(common.builder or local.address_from_environment() or "", platforms)[2]


def _chosen(name: str, platforms: Sequence[str]) -> tuple[Builder, Node, Driver]:
    """The builder of that name, or the one in force; its node for the platforms, and its driver."""
    from croze.builders import choose
    from croze.builders.model import parse_platforms
    from croze.cli.builder import known
    from croze.drivers import make

    with known() as here:
        builder = here.builder(name)
        if not is_address(name) and here.stored.builder(builder.name) is not None:
            here.stored.touch(builder.name)
    node = choose.node_for(builder, parse_platforms(tuple(platforms)))
    return builder, node, make.driver(builder, node, here.contexts)


def _of_builder(name: str, platforms: Sequence[str], *, debug: bool) -> Reach:
    builder, node, driver = _chosen(name, platforms)
    if builder.driver == OWN:
        return Reach(lambda: _own(debug=debug), own=True)
    return Reach(booted(driver), builder.name, node.name, in_engine=builder.driver == "docker")


def booted(driver: Driver) -> Dial:
    """Dials after the daemon has been brought up."""

    @asynccontextmanager
    async def dial() -> AsyncIterator[Client]:
        await driver.boot()
        async with driver.dial() as client:
            yield client

    return dial


def with_client(
    common: Common, use: Callable[[Client], Awaitable[T]], *, timeout_s: float = 0
) -> T:
    """Run `use` with a connected client. With a `timeout_s`, a daemon that has not answered by then
    is given up: raises `Unavailable`."""
    dial = dialler(common)

    async def connected() -> T:
        async with dial() as client:
            if timeout_s:
                await _answer(client, timeout_s)
            return await use(client)

    return asyncio.run(connected())


async def _answer(client: Client, timeout_s: float) -> None:
    from croze.errors import Unavailable, Unsupported

    try:
        async with asyncio.timeout(timeout_s):
            await client.info()
    except Unsupported:
        return  # an answer, too: of a daemon before BuildKit 0.11
    except TimeoutError:
        raise Unavailable(f"the daemon has not answered within {timeout_s:g} s") from None
