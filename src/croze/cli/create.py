"""`croze create`: a new builder, or another node of one."""

from __future__ import annotations

import asyncio
import os
import sys
from argparse import Namespace
from collections.abc import Sequence
from typing import TYPE_CHECKING

from croze.builders import edit
from croze.builders.config_files import DEFAULT_FILE, load_config_files, read_config
from croze.builders.daemon_flags import daemon_flags
from croze.builders.endpoints import (
    default_engine_endpoint,
    engine_endpoint,
    kubernetes_endpoint,
)
from croze.builders.known import StoredBuilders, known
from croze.builders.model import BuilderInstance, parse_platforms
from croze.cli.boot import boot
from croze.cli.builder import add_timeout, timeout_s
from croze.cli.flags import Flags
from croze.drivers import make
from croze.drivers.contract import Status
from croze.drivers.nodes import load
from croze.drivers.remote import check_endpoint
from croze.errors import InvalidRequest
from croze.files.docker_config import buildx_dir

if TYPE_CHECKING:
    from croze.cli.common import Common

COMMAND = "croze create"


def flags() -> Flags:
    flags = Flags(COMMAND, "Create a new builder instance", "[OPTIONS] [CONTEXT|ENDPOINT]")
    flags.switch("--append", help="Append a node to builder instead of changing it")
    flags.switch("--bootstrap", help="Boot builder after creation")
    flags.text("--buildkitd-config", help="BuildKit daemon config file")
    flags.alias("--config", of="buildkitd_config")
    flags.text("--buildkitd-flags", help="BuildKit daemon flags")
    flags.text("--driver", help=f"Driver to use (available: {', '.join(make.INSTANCES)})")
    flags.texts("--driver-opt", help="Options for the driver")
    flags.switch("--leave", help="Remove a node from builder instead of changing it")
    flags.text("--name", help="Builder instance name")
    flags.text("--node", help="Create/modify node with given name")
    flags.texts("--platform", help="Fixed platforms for current node")
    add_timeout(flags)
    flags.switch("--use", help="Set the current builder instance")
    flags.one_argument("endpoint", metavar="CONTEXT|ENDPOINT")
    return flags


def run(argv: Sequence[str], common: Common) -> int:
    """Prints the builder's name."""
    read = flags().read(argv, common)
    limit_s = timeout_s(read.timeout, COMMAND)
    with known() as here:
        if read.leave:
            _leave(here, read)
            return 0
        builder = _create(here, read, limit_s)
        if read.use:
            endpoint = here.contexts.current_endpoint
            here.stored.set_current(endpoint, builder.name, anywhere=False, default=False)
    if read.bootstrap:
        asyncio.run(_boot(builder, here, limit_s))
    print(builder.name)
    return 0


def _leave(here: StoredBuilders, read: Namespace) -> None:
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


def _create(here: StoredBuilders, read: Namespace, limit_s: float) -> BuilderInstance:
    builder = _existing(here, read)
    fresh = builder is None
    if builder is None:
        name = read.name or _new_name(here)
        builder = BuilderInstance(name, _driver(read))
    elif read.driver and read.driver != builder.driver:
        raise InvalidRequest(
            f'existing instance for "{builder.name}" but has mismatched driver "{builder.driver}"'
        )
    make.check_name(builder.driver)
    options = _options(read.driver_opt)
    config = _config(read)
    flags = daemon_flags(
        read.buildkitd_flags, builder.driver, options or {}, read_config(config) if config else {}
    )
    endpoint, given = _endpoint(here, read, builder)
    change = edit.NodeChange(
        name=read.node,
        endpoint=endpoint,
        endpoint_given=given,
        platforms=parse_platforms(tuple(read.platform)),
        flags=flags,
        driver_opts=options,
        files=load_config_files(config) if config else None,
    )
    changed, restart = edit.changed(builder, change, append=read.append)
    asyncio.run(_check(changed, here, limit_s))
    if restart and not fresh:
        print("WARNING: new settings may not be used until builder is restarted", file=sys.stderr)
    here.stored.save(changed)
    return changed


async def _check(builder: BuilderInstance, here: StoredBuilders, limit_s: float) -> None:
    """A node whose driver refuses it, or whose place can't be asked, is not stored."""
    for state in await load(builder, here.contexts, limit_s):
        if state.error:
            raise InvalidRequest(
                f"failed to initialize builder {builder.name} ({state.node.name}): {state.error}"
            )


def _existing(here: StoredBuilders, read: Namespace) -> BuilderInstance | None:
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
    builder = here.stored.builder(read.name)
    if builder is None and read.append:
        raise InvalidRequest(f'failed to find instance "{read.name}" for append')
    if builder is not None and not read.node and not read.append:
        raise InvalidRequest(
            f'existing instance for "{read.name}" but no append mode, specify the node name to '
            "make changes for existing instances"
        )
    return builder


def _new_name(here: StoredBuilders) -> str:
    from croze.builders.names import new_name

    return new_name(lambda name: here.stored.builder(name) is not None)


def _driver(read: Namespace) -> str:
    if read.driver:
        return str(read.driver)
    endpoint = read.endpoint or ""
    if not endpoint and os.environ.get("BUILDKIT_HOST"):
        return "remote"
    try:
        check_endpoint(endpoint)
    except InvalidRequest:
        return "docker-container"
    return "remote"


def _endpoint(here: StoredBuilders, read: Namespace, builder: BuilderInstance) -> tuple[str, bool]:
    """Where the node is, and whether somebody said so."""
    given = read.endpoint or ""
    if builder.driver == "remote":
        given = given or os.environ.get("BUILDKIT_HOST", "")
        if not given:
            raise InvalidRequest("no remote endpoint provided")
        return check_endpoint(given), True
    if builder.driver == "kubernetes":
        if given:
            raise InvalidRequest(f'kubernetes driver does not support endpoint args "{given}"')
        return kubernetes_endpoint(builder.name, read.node, builder), False
    if given:
        return engine_endpoint(given, here.contexts), True
    return default_engine_endpoint(here.contexts), False


def _options(words: Sequence[str]) -> dict[str, str] | None:
    from croze.gotypes.csv_line import fields

    options: dict[str, str] = {}
    for field in (field for word in words for field in fields(word)):
        key, equals, value = field.partition("=")
        if not equals:
            raise InvalidRequest(f'invalid value "{field}", expecting k=v')
        options[key] = value
    return options or None


def _config(read: Namespace) -> str:
    """The path of the daemon's settings: the one that was named, or the user's default if there is
    one. Empty if there is none."""
    if read.buildkitd_config:
        return str(read.buildkitd_config)
    default = buildx_dir() / DEFAULT_FILE
    return str(default) if default.exists() else ""


async def _boot(builder: BuilderInstance, here: StoredBuilders, limit_s: float) -> None:
    states = await load(builder, here.contexts, limit_s)
    idle = [
        (state.node.name, state.driver)
        for state in states
        if state.driver is not None and not state.error and state.status is not Status.RUNNING
    ]
    await boot(idle)
