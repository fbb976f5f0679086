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
from croze.drivers.contract import NodeStatus
from croze.drivers.nodes import load
from croze.drivers.remote import check_endpoint
from croze.errors import InvalidRequest
from croze.files.docker_config import buildx_dir
from croze.gotypes.quote import quote

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
    """Make a builder, or add a node to one; prints the builder's name."""
    args = flags().read(argv, common)
    limit_s = timeout_s(args.timeout, COMMAND)
    with known() as here:
        if args.leave:
            _leave(here, args)
            return 0
        builder = _create(here, args, limit_s)
        if args.use:
            endpoint = here.contexts.current_endpoint
            here.stored.set_current(endpoint, builder.name, anywhere=False, default=False)
    if args.bootstrap:
        asyncio.run(_boot(builder, here, limit_s))
    print(builder.name)
    return 0


def _leave(here: StoredBuilders, args: Namespace) -> None:
    if not args.name:
        raise InvalidRequest("leave requires instance name")
    if not args.node:
        raise InvalidRequest("leave requires node name")
    builder = here.stored.builder(args.name)
    if builder is None:
        raise InvalidRequest(f"failed to find instance {quote(args.name)} for leave")
    changed = edit.left(builder, args.node)
    here.stored.forget_builds(builder.name, args.node)
    here.stored.save(changed)


def _create(here: StoredBuilders, args: Namespace, limit_s: float) -> BuilderInstance:
    builder = _existing(here, args)
    fresh = builder is None
    if builder is None:
        name = args.name or _new_name(here)
        builder = BuilderInstance(name, _driver(args))
    elif args.driver and args.driver != builder.driver:
        raise InvalidRequest(
            f'existing instance for "{builder.name}" but has mismatched driver "{builder.driver}"'
        )
    make.check_name(builder.driver)
    options = _options(args.driver_opt)
    config = _config(args)
    flags = daemon_flags(
        args.buildkitd_flags, builder.driver, options or {}, read_config(config) if config else {}
    )
    endpoint, is_explicit = _endpoint(here, args, builder)
    change = edit.NodeChange(
        name=args.node,
        endpoint=endpoint,
        endpoint_given=is_explicit,
        platforms=parse_platforms(tuple(args.platform)),
        flags=flags,
        driver_opts=options,
        files=load_config_files(config) if config else None,
    )
    changed, restart = edit.changed(builder, change, append=args.append)
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


def _existing(here: StoredBuilders, args: Namespace) -> BuilderInstance | None:
    """The stored builder that is to be changed. Raises `InvalidRequest` when it can't be."""
    if args.name == "default":
        raise InvalidRequest(
            "default is a reserved name and cannot be used to identify builder instance"
        )
    if args.append and not args.name:
        raise InvalidRequest("append requires a builder name")
    if not args.name:
        return None
    if not args.append and here.contexts.find(args.name) is not None:
        raise InvalidRequest(f"instance name {quote(args.name)} already exists as context builder")
    builder = here.stored.builder(args.name)
    if builder is None and args.append:
        raise InvalidRequest(f"failed to find instance {quote(args.name)} for append")
    if builder is not None and not args.node and not args.append:
        raise InvalidRequest(
            f'existing instance for "{args.name}" but no append mode, specify the node name to '
            "make changes for existing instances"
        )
    return builder


def _new_name(here: StoredBuilders) -> str:
    from croze.builders.names import new_name

    return new_name(lambda name: here.stored.builder(name) is not None)


def _driver(args: Namespace) -> str:
    if args.driver:
        return str(args.driver)
    endpoint = args.endpoint or ""
    if not endpoint and os.environ.get("BUILDKIT_HOST"):
        return "remote"
    try:
        check_endpoint(endpoint)
    except InvalidRequest:
        return "docker-container"
    return "remote"


def _endpoint(here: StoredBuilders, args: Namespace, builder: BuilderInstance) -> tuple[str, bool]:
    """Where the node is, and whether somebody said so."""
    text = args.endpoint or ""
    if builder.driver == "remote":
        text = text or os.environ.get("BUILDKIT_HOST", "")
        if not text:
            raise InvalidRequest("no remote endpoint provided")
        return check_endpoint(text), True
    if builder.driver == "kubernetes":
        if text:
            raise InvalidRequest(f"kubernetes driver does not support endpoint args {quote(text)}")
        return kubernetes_endpoint(builder.name, args.node, builder), False
    if text:
        return engine_endpoint(text, here.contexts), True
    return default_engine_endpoint(here.contexts), False


def _options(words: Sequence[str]) -> dict[str, str] | None:
    from croze.gotypes.csv_line import fields

    options: dict[str, str] = {}
    for field in (field for word in words for field in fields(word)):
        key, equals, value = field.partition("=")
        if not equals:
            raise InvalidRequest(f"invalid value {quote(field)}, expecting k=v")
        options[key] = value
    return options or None


def _config(args: Namespace) -> str:
    """The path of the daemon's settings: the one that was named, or the user's default if there is
    one. Empty if there is none."""
    if args.buildkitd_config:
        return str(args.buildkitd_config)
    default = buildx_dir() / DEFAULT_FILE
    return str(default) if default.exists() else ""


async def _boot(builder: BuilderInstance, here: StoredBuilders, limit_s: float) -> None:
    states = await load(builder, here.contexts, limit_s)
    idle = [
        (state.node.name, state.driver)
        for state in states
        if state.driver is not None and not state.error and state.status is not NodeStatus.RUNNING
    ]
    await boot(idle)
