"""`croze ls`: builders, their nodes, and how those are."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from croze.builders import choose
from croze.builders.model import Builder, format_in_groups
from croze.builders.platforms import shortened
from croze.cli.builder import add_timeout, known, timeout_s
from croze.cli.flags import Flags, UsageError
from croze.cli.table import table
from croze.drivers.nodes import NodeState, load
from croze.errors import Unsupported

if TYPE_CHECKING:
    from datetime import datetime

    from croze.builders.contexts import Contexts
    from croze.cli.common import Common

COMMAND = "croze ls"
HEADER = ("NAME/NODE", "DRIVER/ENDPOINT", "STATUS", "BUILDKIT", "PLATFORMS")
INDENT = r" \_ "
MOST_PLATFORMS = 4


@dataclass(frozen=True)
class Listed:
    """A builder with what its nodes said."""

    builder: Builder
    states: Sequence[NodeState]
    current: bool
    last_activity: datetime | None


def run(argv: Sequence[str], common: Common) -> int:
    flags = Flags(COMMAND, "List builder instances", "[OPTIONS]")
    flags.text("--format", help="Format the output", default="table")
    flags.switch("--no-trunc", help="Don't truncate output")
    add_timeout(flags)
    flags.add_argument("extra", nargs="*", metavar="")
    read = flags.read(argv, common)
    if read.extra:
        raise UsageError(f"'{COMMAND}' requires 0 arguments", COMMAND)
    limit_s = timeout_s(read.timeout, COMMAND)
    with known() as here:
        current = choose.current(here.stored, here.contexts)
        builders = choose.everybody(here.stored, here.contexts)
        activity = {b.name: here.stored.last_activity(b.name) for b in builders}
    states = asyncio.run(_load_all(builders, here.contexts, limit_s))
    listed = [
        Listed(builder, nodes, builder.name == current.name, activity[builder.name])
        for builder, nodes in zip(builders, states, strict=True)
    ]
    _show(listed, read.format, trunc=not read.no_trunc)
    return 0


async def _load_all(
    builders: Sequence[Builder], contexts: Contexts, limit_s: float
) -> list[list[NodeState]]:
    loading = (load(builder, contexts, limit_s) for builder in builders)
    return list(await asyncio.gather(*loading))


def _show(listed: Sequence[Listed], format: str, *, trunc: bool) -> None:
    if format == "json":
        from croze.cli.builder_json import line

        for one in listed:
            print(line(one.builder, one.states, one.current, one.last_activity))
        return
    if format != "table":
        raise Unsupported(f"format {format!r}: only table and json are there")
    print(table(HEADER, (row for one in listed for row in rows(one, trunc=trunc))))
    _complain(listed)


def rows(one: Listed, *, trunc: bool) -> Iterator[tuple[str, ...]]:
    """The builder's line, and one for each node."""
    yield (one.builder.name + ("*" if one.current else ""), one.builder.driver, "", "", "")
    for state in one.states:
        platforms = format_in_groups(state.fixed_platforms, state.detected_platforms)
        shown = shortened(platforms, MOST_PLATFORMS) if trunc else ", ".join(platforms)
        node = state.node
        status = "error" if state.error else state.status or ""
        yield (INDENT + node.name, INDENT + node.endpoint, status, state.version, shown)


def _complain(listed: Sequence[Listed]) -> None:
    failed = [(one.builder, state) for one in listed for state in one.states if state.error]
    if failed:
        print(file=sys.stderr)
    for builder, state in failed:
        where = f"{builder.name} ({state.node.name})"
        print(f"Failed to get status for {where}: {state.error}", file=sys.stderr)
