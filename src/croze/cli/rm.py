"""`croze rm`: remove builders, their daemons and what those stored."""

from __future__ import annotations

import asyncio
import sys
from argparse import Namespace
from collections.abc import Sequence
from typing import TYPE_CHECKING

from croze.builders import choose
from croze.builders.known import StoredBuilders, known
from croze.cli.builder import add_timeout, named, timeout_s
from croze.cli.flags import Flags
from croze.drivers import make
from croze.drivers.contract import NodeStatus
from croze.drivers.nodes import NodeState, builder_error, load
from croze.errors import CrozeError, InvalidRequest

if TYPE_CHECKING:
    from croze.builders.model import BuilderInstance, BuilderNode
    from croze.cli.common import Common

COMMAND = "croze rm"
ALL_WARNING = "WARNING! This will remove all builders that are not in running state. "
SURE = "Are you sure you want to continue? [y/N] "


def flags() -> Flags:
    flags = Flags(COMMAND, "Remove one or more builder instances", "[OPTIONS] [NAME...]")
    flags.switch("--all-inactive", help="Remove all inactive builders")
    flags.switch("-f", "--force", help="Do not prompt for confirmation")
    flags.switch("--keep-daemon", help="Keep the BuildKit daemon running")
    flags.switch("--keep-state", help="Keep BuildKit state")
    add_timeout(flags)
    flags.add_argument("names", metavar="NAME", nargs="*")
    return flags


def run(argv: Sequence[str], common: Common) -> int:
    """Remove builders, and say of each whether it went; 1 when one did not."""
    args = flags().read(argv, common)
    limit_s = timeout_s(args.timeout, COMMAND)
    if args.all_inactive:
        if args.names:
            raise InvalidRequest("cannot specify builder name when --all-inactive is set")
        return _remove_inactive(args, limit_s)
    names = args.names or [named(None, common)]
    with known() as here:
        gone = [_say(name, here, args, limit_s) for name in names]
    if not all(gone):
        raise CrozeError("failed to remove one or more builders")
    return 0


def _remove_inactive(args: Namespace, limit_s: float) -> int:
    if not args.force:
        print(ALL_WARNING + SURE, end="", flush=True)
        if sys.stdin.readline().strip().lower() != "y":
            return 0
    problems: list[str] = []
    with known() as here:
        for builder in here.stored.builders():
            states = asyncio.run(load(builder, here.contexts, limit_s))
            if error := builder_error(builder, states):
                problems.append(f"cannot load {builder.name}: {error}")
            elif not builder.dynamic and not any(map(_is_running, states)):
                problems += _remove_loaded(builder, states, here, args, limit_s)
    if problems:
        raise CrozeError("\n".join(problems))
    return 0


def _is_running(state: NodeState) -> bool:
    return state.status is NodeStatus.RUNNING or bool(state.dynamic)


def _remove_loaded(
    builder: BuilderInstance,
    states: Sequence[NodeState],
    here: StoredBuilders,
    args: Namespace,
    limit_s: float,
) -> list[str]:
    """What went wrong, if anything did: the builder is gone in any case."""
    problems = [
        f"failed to load node {state.node.name}: {state.error}" for state in states if state.error
    ]
    try:
        _remove(builder.name, here, args, limit_s)
    except (CrozeError, TimeoutError) as error:
        problems += [line for line in _why(error).splitlines() if line not in problems]
    print(f"{builder.name} removed", file=sys.stderr)
    return problems


def _why(error: Exception) -> str:
    return str(error) or "context deadline exceeded"


def _say(name: str, here: StoredBuilders, args: Namespace, limit_s: float) -> bool:
    try:
        _remove(name, here, args, limit_s)
    except (CrozeError, TimeoutError) as error:
        print(f"failed to remove {name}: {_why(error)}", file=sys.stderr)
        return False
    print(f"{name} removed", file=sys.stderr)
    return True


def _remove(name: str, here: StoredBuilders, args: Namespace, limit_s: float) -> None:
    builder = here.builder(name)
    if here.stored.builder(builder.name) is None:
        if builder.driver == choose.OWN:
            raise InvalidRequest("this builder is always there; `croze stop` ends its daemon")
        raise InvalidRequest(
            "context builder cannot be removed, "
            f"run `docker context rm {builder.name}` to remove this context"
        )
    try:
        if not args.keep_daemon:
            if not make.is_known(builder.driver):
                raise make.unknown(builder.driver)
            asyncio.run(_remove_nodes(builder, here, args, limit_s))
    finally:
        here.stored.remove(builder.name)


async def _remove_nodes(
    builder: BuilderInstance, here: StoredBuilders, args: Namespace, limit_s: float
) -> None:
    """All at once; raises what went wrong with any, a line for each."""
    async with asyncio.timeout(limit_s or None):
        failed = await asyncio.gather(
            *(_remove_node(builder, node, here, args) for node in builder.members)
        )
    if problems := [line for lines in failed for line in lines]:
        raise CrozeError("\n".join(problems))


async def _remove_node(
    builder: BuilderInstance, node: BuilderNode, here: StoredBuilders, args: Namespace
) -> list[str]:
    """Remove as much of a node as can be; what can't be is told."""
    failed: list[str] = []
    try:
        driver = make.driver(builder, node, here.contexts)
    except CrozeError as error:
        return [f"failed to load node {node.name}: {error}"]
    try:
        await driver.stop()
    except CrozeError as error:
        failed.append(f"failed to stop node {node.name}: {error}")
    try:
        await driver.remove(state=not args.keep_state, daemon=True)
    except CrozeError as error:
        failed.append(f"failed to remove node {node.name}: {error}")
    return failed
