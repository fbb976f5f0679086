"""Dialling the daemon from a command: which one, and the services of `crozed` itself."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from croze.files.docker_config import buildx_dir

if TYPE_CHECKING:
    from croze.builders.model import Builder, Node
    from croze.cli.common import Common
    from croze.client.connect import Client, Dial
    from croze.drivers.contract import Driver
    from croze.drivers.parting import Offer
    from croze.image.platform import Platform

T = TypeVar("T")
OWN = "croze"


@dataclass(frozen=True)
class Reach:
    """How to reach a daemon, and what is known of it."""

    dial: Dial
    builder: str = OWN
    node: str = OWN
    """Under these names its builds are remembered."""
    own: bool = False
    """It is the user's own `crozed`."""
    fixed: tuple[Platform, ...] = ()
    """The platforms that the user gave the node."""
    kind: str = ""
    """The kind of driver of a builder that has a name."""
    driver: Driver | None = None
    """What brings it up and dials it, if it is a builder's."""

    @property
    def place(self) -> str:
        return f"{self.builder}/{self.node}"

    @property
    def offer(self) -> Offer:
        """What it is among the nodes of its builder."""
        from croze.drivers.parting import Offer

        driver = self.driver
        if driver is None:
            return Offer(self.dial)
        return Offer(driver.dial, self.fixed, driver.boot)


def dialler(common: Common) -> Dial:
    """How a command reaches the daemon it works with: see `reach`."""
    return reach(common).dial


def reach(common: Common) -> Reach:
    """The daemon of a command that works with one: of several nodes, the first."""
    return reaches(common)[0]


def reaches(common: Common, mode: str = "auto") -> list[Reach]:
    """The daemons of the builder or address that `--builder` names, of `CROZE_HOST` or
    `BUILDKIT_HOST`, of the builder chosen with `use`, or the user's own, which is started. `mode`
    is how it is shown that one is brought up.

    Raises `CrozeError` for a builder that is not there or can't be dialled.
    """
    from croze.client.connect import connect
    from croze.drivers import local

    named = common.builder or local.address_from_environment() or ""
    if is_address(named):
        return [Reach(lambda: connect(named))]
    if not named and not os.path.exists(buildx_dir() / "current"):
        return [Reach(lambda: _own(debug=common.debug), own=True)]
    return _of_builder(named, mode, debug=common.debug)


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


def drivers_of(common: Common) -> list[tuple[Driver, tuple[Platform, ...]]]:
    """Of the nodes of the builder that a command works with, each with the platforms that the user
    gave it. Raises `CrozeError`."""
    from croze.drivers import local

    _, members = _members(common.builder or local.address_from_environment() or "")
    return [(driver, node.platforms or ()) for node, driver in members]


def _members(name: str) -> tuple[Builder, list[tuple[Node, Driver]]]:
    """The builder of that name, or the one in force, and its nodes but for those that no driver
    takes. Raises `CrozeError` if that leaves none."""
    from croze.cli.builder import known
    from croze.drivers import make
    from croze.errors import CrozeError

    with known() as here:
        builder = here.builder(name)
        if not is_address(name) and here.stored.builder(builder.name) is not None:
            here.stored.touch(builder.name)
    if not builder.members:
        raise CrozeError(f"builder {builder.name} has no nodes")
    found: list[tuple[Node, Driver]] = []
    failed: CrozeError | None = None
    for node in builder.members:
        try:
            found.append((node, make.driver(builder, node, here.contexts)))
        except CrozeError as error:
            failed = error
    if failed is not None and not found:
        raise failed
    return builder, found


def _of_builder(name: str, mode: str, *, debug: bool) -> list[Reach]:
    builder, members = _members(name)
    if builder.driver == OWN:
        return [Reach(lambda: _own(debug=debug), own=True)]
    return [
        Reach(
            booted(driver, mode),
            builder.name,
            node.name,
            fixed=node.platforms or (),
            kind=builder.driver,
            driver=driver,
        )
        for node, driver in members
    ]


def booted(driver: Driver, mode: str = "auto") -> Dial:
    """Dials after the daemon has been brought up; `mode` is how that is shown."""

    @asynccontextmanager
    async def dial() -> AsyncIterator[Client]:
        from croze.cli.boot import boot

        await boot([("", driver)], mode)
        async with driver.dial() as client:
            yield client

    return dial


def with_client(
    common: Common, use: Callable[[Client], Awaitable[T]], *, timeout_s: float = 0
) -> T:
    """Run `use` with a connected client. With a `timeout_s`, a daemon that has not answered by then
    is given up: raises `Unavailable`."""
    import asyncio

    dial = dialler(common)

    async def connected() -> T:
        async with dial() as client:
            if timeout_s:
                await _answer(client, timeout_s)
            return await use(client)

    return asyncio.run(connected())


async def _answer(client: Client, timeout_s: float) -> None:
    import asyncio

    from croze.errors import Unavailable, Unsupported

    try:
        async with asyncio.timeout(timeout_s):
            await client.info()
    except Unsupported:
        return  # an answer, too: of a daemon before BuildKit 0.11
    except TimeoutError:
        raise Unavailable(f"the daemon has not answered within {timeout_s:g} s") from None
