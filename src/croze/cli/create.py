"""`croze create`: a new builder, or another node of one."""

from __future__ import annotations

import asyncio
import os
import shlex
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from croze.builders import edit
from croze.builders.model import Builder, parse_platforms
from croze.cli.builder import Known, add_timeout, known, timeout_s
from croze.cli.flags import Flags, UsageError
from croze.drivers import make
from croze.drivers.remote import check_endpoint
from croze.errors import CrozeError, InvalidRequest

if TYPE_CHECKING:
    from croze.cli.common import Common

COMMAND = "croze create"


def flags() -> Flags:
    made = Flags(COMMAND, "Create a new builder instance", "[OPTIONS] [CONTEXT|ENDPOINT]")
    made.switch("--append", help="Append a node to builder instead of changing it")
    made.switch("--bootstrap", help="Boot builder after creation")
    made.text("--buildkitd-config", help="BuildKit daemon config file")
    made.alias("--config", of="buildkitd_config")
    made.text("--buildkitd-flags", help="BuildKit daemon flags")
    made.text("--driver", help=f"Driver to use (available: {', '.join(make.INSTANCES)})")
    made.texts("--driver-opt", help="Options for the driver")
    made.switch("--leave", help="Remove a node from builder instead of changing it")
    made.text("--name", help="Builder instance name")
    made.text("--node", help="Create/modify node with given name")
    made.texts("--platform", help="Fixed platforms for current node")
    add_timeout(made)
    made.switch("--use", help="Set the current builder instance")
    made.add_argument("endpoint", metavar="CONTEXT|ENDPOINT", nargs="*")
    return made


def run(argv: Sequence[str], common: Common) -> int:
    """Prints the builder's name."""
    read = flags().read(argv, common)
    if len(read.endpoint) > 1:
        raise UsageError(f"'{COMMAND}' requires at most 1 argument", COMMAND)
    limit_s = timeout_s(read.timeout, COMMAND)
    with known() as here:
        if read.leave:
            _leave(here, read)
            return 0
        builder = _create(here, read)
        if read.use:
            endpoint = here.contexts.current_endpoint
            here.stored.set_current(endpoint, builder.name, anywhere=False, default=False)
    if read.bootstrap:
        asyncio.run(_boot(builder, here, limit_s))
    print(builder.name)
    return 0


def _leave(here: Known, read: Namespace) -> None:
    if not read.name:
        raise InvalidRequest("leave requires instance name")
    if not read.node:
        raise InvalidRequest("leave requires node name")
    builder = here.stored.builder(read.name)
    if builder is None:
        raise InvalidRequest(f'failed to find instance "{read.name}" for leave')
    changed = edit.left(builder, read.node)
    here.stored.forget_builds(builder.name, read.node)
    here.stored.save(changed)


def _create(here: Known, read: Namespace) -> Builder:
    builder = _existing(here, read)
    fresh = builder is None
    if builder is None:
        name = read.name or _new_name(here)
        builder = Builder(name, _driver(read))
    elif read.driver and read.driver != builder.driver:
        raise InvalidRequest(
            f'existing instance for "{builder.name}" but has mismatched driver "{builder.driver}"'
        )
    make.check_name(builder.driver)
    endpoint, given = _endpoint(here, read, builder.driver)
    config = _config_files(read)
    change = edit.NodeChange(
        name=read.node,
        endpoint=endpoint,
        endpoint_given=given,
        platforms=parse_platforms(tuple(read.platform)),
        flags=_daemon_flags(read),
        driver_opts=_options(read.driver_opt),
        files=config,
    )
    changed, restart = edit.changed(builder, change, append=read.append)
    for node in changed.members:
        _checked(changed, node.name, here)
    if restart and not fresh:
        print("WARNING: new settings may not be used until builder is restarted", file=sys.stderr)
    here.stored.save(changed)
    return changed


def _checked(builder: Builder, name: str, here: Known) -> None:
    """A node whose driver refuses it is not stored."""
    node = builder.node(name)
    assert node is not None
    try:
        make.driver(builder, node, here.contexts)
    except CrozeError as error:
        raise InvalidRequest(
            f"failed to initialize builder {builder.name} ({name}): {error}"
        ) from None


def _existing(here: Known, read: Namespace) -> Builder | None:
    """The stored builder that is to be changed. Raises `InvalidRequest` when it can't be."""
    if read.name == "default":
        raise InvalidRequest(
            "default is a reserved name and cannot be used to identify builder instance"
        )
    if read.append and not read.name:
        raise InvalidRequest("append requires a builder name")
    if not read.name:
        return None
    if not read.append and here.contexts.find(read.name) is not None:
        raise InvalidRequest(f'instance name "{read.name}" already exists as context builder')
    found = here.stored.builder(read.name)
    if found is None and read.append:
        raise InvalidRequest(f'failed to find instance "{read.name}" for append')
    if found is not None and not read.node and not read.append:
        raise InvalidRequest(
            f'existing instance for "{read.name}" but no append mode, specify the node name to '
            "make changes for existing instances"
        )
    return found


def _new_name(here: Known) -> str:
    from croze.builders.names import new_name

    return new_name(lambda name: here.stored.builder(name) is not None)


def _driver(read: Namespace) -> str:
    if read.driver:
        return str(read.driver)
    endpoint = read.endpoint[0] if read.endpoint else ""
    if not endpoint and os.environ.get("BUILDKIT_HOST"):
        return "remote"
    try:
        check_endpoint(endpoint)
    except InvalidRequest:
        return "docker-container"
    return "remote"


def _endpoint(here: Known, read: Namespace, driver: str) -> tuple[str, bool]:
    """Where the node is, and whether somebody said so."""
    given = read.endpoint[0] if read.endpoint else ""
    if driver == "remote":
        given = given or os.environ.get("BUILDKIT_HOST", "")
        if not given:
            raise InvalidRequest("no remote endpoint provided")
        return check_endpoint(given), True
    if driver == "kubernetes" and given:
        raise InvalidRequest(f'kubernetes driver does not support endpoint args "{given}"')
    if given:
        if "://" not in given:
            found = here.contexts.get(given)
            return (found.host if given == "default" else given), True
        return given, True
    return here.contexts.current_endpoint, False


def _options(words: Sequence[str]) -> dict[str, str] | None:
    from croze.gotypes.csv_line import fields

    found: dict[str, str] = {}
    for field in (field for word in words for field in fields(word)):
        key, equals, value = field.partition("=")
        if not equals:
            raise InvalidRequest(f'invalid value "{field}", expecting k=v')
        found[key] = value
    return found or None


def _daemon_flags(read: Namespace) -> tuple[str, ...] | None:
    if not read.buildkitd_flags:
        return None
    try:
        return tuple(shlex.split(read.buildkitd_flags))
    except ValueError as error:
        raise InvalidRequest(f"failed to parse buildkit flags: {error}") from None


def _config_files(read: Namespace) -> dict[str, bytes] | None:
    if not read.buildkitd_config:
        return None
    try:
        return {"buildkitd.toml": Path(read.buildkitd_config).read_bytes()}
    except OSError as error:
        raise InvalidRequest(f"open {read.buildkitd_config}: {error.strerror}") from None


async def _boot(builder: Builder, here: Known, limit_s: float) -> None:
    async with asyncio.timeout(limit_s or None):
        for node in builder.members:
            await make.driver(builder, node, here.contexts).boot()
