"""Which daemon a command or a program works with, by the user's word for it or by their choice."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from msgspec import Struct

from croze.builders.choose import OWN, checked_address, is_address
from croze.files.docker_config import buildx_dir, config_dir

if TYPE_CHECKING:
    from croze.builders.model import BuilderInstance, BuilderNode
    from croze.client.connect import Client, Dial
    from croze.drivers.contract import Driver
    from croze.drivers.multinode import NodeOffer
    from croze.image.platform import Platform

Boot = Callable[["Driver"], Awaitable[None]]
"""Brings a daemon up, and may show how."""


class Reach(Struct, frozen=True):
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
        """`builder/node`, as the history knows it."""
        return f"{self.builder}/{self.node}"

    @property
    def once(self) -> Dial:
        """Dials for whoever builds nothing: a daemon that is somebody else's to start is there, or
        it is not, and is not waited for."""
        return self.dial if self.driver is None or self.kind != "remote" else self.driver.dial

    @property
    def offer(self) -> NodeOffer:
        """The daemon as one node among those of its builder."""
        from croze.drivers.multinode import NodeOffer

        driver = self.driver
        if driver is None:
            return NodeOffer(self.dial)
        return NodeOffer(driver.dial, self.fixed, driver.boot)


def reaches(
    name: str = "",
    *,
    boot: Boot | None = None,
    key: str = "",
    builds: bool = True,
    debug: bool = False,
) -> list[Reach]:
    """The daemons of the builder or address that is named, of `CROZE_HOST` or `BUILDKIT_HOST`, of
    the builder chosen with `use`, or the user's own. What can be brought up is, by `boot`, when it
    is dialled; `debug`: with a word on standard error about the user's own. By `key`, the path of
    what is built, several daemons behind a node share the work in a way that stays. Of a builder
    it is remembered when it last built, if it `builds` now.

    Raises `CrozeError` for a builder that is not there or can't be dialled.
    """
    from croze.client.connect import connect
    from croze.drivers import local
    from croze.drivers.commands import command_for

    named = name or local.address_from_environment()
    if is_address(named):
        address = checked_address(named)
        if not address.startswith(("unix", "tcp:")) and command_for(address) is not None:
            return [Reach(_remote(address).dial)]
        return [Reach(lambda: connect(address))]
    if not named and not os.path.exists(buildx_dir() / "current"):
        return [Reach(lambda: _own(debug=debug), own=True)]
    return _of_builder(named, boot, key, builds=builds, debug=debug)


def _remote(address: str) -> Driver:
    """A daemon behind a command that carries its connection."""
    from croze.builders.model import BuilderNode
    from croze.drivers.remote import RemoteDriver

    return RemoteDriver(BuilderNode(name=address, endpoint=address))


@asynccontextmanager
async def _own(*, debug: bool) -> AsyncIterator[Client]:
    """The user's own daemon, started if it isn't there."""
    from croze.client.connect import connect
    from croze.drivers import local

    daemon, started = local.ensure_daemon()
    if started and debug:
        print(f"started the daemon at {daemon}", file=sys.stderr)
    async with connect(daemon) as client:
        yield client


def drivers_of(name: str) -> tuple[str, list[tuple[Driver, tuple[Platform, ...]]]]:
    """The name of the builder of that name, or the one in force, and the drivers of its nodes, each
    with the platforms that the user gave it. Raises `CrozeError`."""
    from croze.drivers import local

    named = name or local.address_from_environment()
    builder, members = _members(named, os.getcwd(), builds=True)
    return builder.name, [(driver, node.platforms or ()) for node, driver in members]


def _members(
    name: str, key: str, *, builds: bool
) -> tuple[BuilderInstance, list[tuple[BuilderNode, Driver]]]:
    """The builder of that name, or the one in force, and its nodes but for those that no driver
    takes. Raises `CrozeError` if that leaves none."""
    from croze.builders import choose
    from croze.builders.contexts import Contexts
    from croze.builders.known import known
    from croze.drivers import make
    from croze.errors import CrozeError

    contexts = Contexts(config_dir())
    if is_address(name):  # who dials it for us may have the files' lock
        builder = choose.of_address(name)
    else:
        with known() as here:
            builder = here.builder(name)
            if builds and here.stored.builder(builder.name) is not None:
                here.stored.touch(builder.name)
    if not builder.members:
        raise CrozeError(f"builder {builder.name} has no nodes")
    members: list[tuple[BuilderNode, Driver]] = []
    failed: CrozeError | None = None
    for node in builder.members:
        try:
            members.append((node, make.driver(builder, node, contexts, key)))
        except CrozeError as error:
            failed = error
    if failed is not None and not members:
        raise failed
    return builder, members


def _of_builder(
    name: str, boot: Boot | None, key: str, *, builds: bool, debug: bool
) -> list[Reach]:
    builder, members = _members(name, key, builds=builds)
    if builder.driver == OWN:
        return [Reach(lambda: _own(debug=debug), own=True)]
    return [
        Reach(
            booted(driver, boot),
            builder.name,
            node.name,
            fixed=node.platforms or (),
            kind=builder.driver,
            driver=driver,
        )
        for node, driver in members
    ]


def booted(driver: Driver, boot: Boot | None = None) -> Dial:
    """Dials after the daemon has been brought up."""

    @asynccontextmanager
    async def dial() -> AsyncIterator[Client]:
        await (driver.boot() if boot is None else boot(driver))
        async with driver.dial() as client:
            yield client

    return dial
