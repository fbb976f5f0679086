"""`croze ls`: builders, their nodes, and how those are."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from croze.builders import choose
from croze.builders.known import known
from croze.builders.model import BuilderInstance, format_in_groups
from croze.builders.platforms import shortened
from croze.cli.builder import add_timeout, timeout_s
from croze.cli.flags import Flags, UsageError
from croze.cli.format import formatted, is_table
from croze.drivers.nodes import NodeState, load
from croze.gotypes.template import Fields

if TYPE_CHECKING:
    from datetime import datetime

    from croze.builders.contexts import Contexts
    from croze.cli.common import Common

COMMAND = "croze ls"
TABLE = "table {{.Name}}\t{{.DriverEndpoint}}\t{{.Status}}\t{{.Buildkit}}\t{{.Platforms}}"
HEADERS = {
    "Name": "NAME/NODE",
    "DriverEndpoint": "DRIVER/ENDPOINT",
    "LastActivity": "LAST ACTIVITY",
    "Status": "STATUS",
    "Buildkit": "BUILDKIT",
    "Platforms": "PLATFORMS",
}
INDENT = r" \_ "
MOST_PLATFORMS = 4


class ListedBuilder(Struct, frozen=True):
    """A builder with what its nodes said."""

    builder: BuilderInstance
    states: Sequence[NodeState]
    current: bool
    last_activity: datetime | None


def run(argv: Sequence[str], common: Common) -> int:
    flags = Flags(COMMAND, "List builder instances", "[OPTIONS]")
    flags.text("--format", help="Format the output", default="table")
    flags.switch("--no-trunc", help="Don't truncate output")
    add_timeout(flags)
    flags.add_argument("extra", nargs="*", metavar="")
    args = flags.read(argv, common)
    if args.extra:
        raise UsageError(f"'{COMMAND}' requires 0 arguments", COMMAND)
    limit_s = timeout_s(args.timeout, COMMAND)
    with known() as here:
        current = choose.current(here.stored, here.contexts)
        builders = choose.everybody(here.stored, here.contexts)
        activity = {b.name: here.stored.last_activity(b.name) for b in builders}
    states = asyncio.run(_load_all(builders, here.contexts, limit_s))
    listed = [
        ListedBuilder(builder, nodes, _is(builder, current), activity[builder.name])
        for builder, nodes in zip(builders, states, strict=True)
    ]
    _show(listed, args.format, trunc=not args.no_trunc)
    return 0


def _is(builder: BuilderInstance, other: BuilderInstance) -> bool:
    """A builder that buildx has made may have the name of the user's own."""
    return (builder.name, builder.driver) == (other.name, other.driver)


async def _load_all(
    builders: Sequence[BuilderInstance], contexts: Contexts, limit_s: float
) -> list[list[NodeState]]:
    loading = (load(builder, contexts, limit_s) for builder in builders)
    return list(await asyncio.gather(*loading))


def _show(listed: Sequence[ListedBuilder], format: str, *, trunc: bool) -> None:
    if format == "json":
        from croze.cli.builder_json import line

        for one in listed:
            print(line(one.builder, one.states, one.current, one.last_activity))
        return
    format = TABLE if format == "table" else format
    table = is_table(format)
    items = [row for one in listed for row in rows(one, table=table, trunc=trunc)]
    print(formatted(format, items, HEADERS))
    if table:
        _complain(listed)


def rows(one: ListedBuilder, *, table: bool, trunc: bool) -> Iterator[Fields]:
    """The builder's line, and one for each node. In a table nodes are indented, the current builder
    has a star, and platforms are shortened if `trunc`."""
    builder = one.builder
    at = one.last_activity
    yield _fields(
        builder,
        Name=builder.name + ("*" if one.current and table else ""),
        DriverEndpoint=builder.driver,
        LastActivity="" if at is None else f"{at:%Y-%m-%dT%H:%M:%SZ}",
    )
    indent = INDENT if table else ""
    for state in one.states:
        platforms = format_in_groups(state.fixed_platforms, state.detected_platforms)
        yield _fields(
            builder,
            Name=indent + state.node.name,
            DriverEndpoint=indent + state.node.endpoint,
            Status="error" if state.error else str(state.status or ""),
            Buildkit=state.version,
            Platforms=shortened(platforms, MOST_PLATFORMS)
            if table and trunc
            else ", ".join(platforms),
            Error=state.error,
        )


def _fields(builder: BuilderInstance, **values: str) -> Fields:
    builder_fields = Fields({"Name": builder.name, "Driver": builder.driver}, "*commands.lsBuilder")
    empty = dict.fromkeys((*HEADERS, "Error"), "")
    return Fields({**empty, **values, "Builder": builder_fields}, "*commands.lsContext")


def _complain(listed: Sequence[ListedBuilder]) -> None:
    failed = [(one.builder, state) for one in listed for state in one.states if state.error]
    if failed:
        print(file=sys.stderr)
    for builder, state in failed:
        where = f"{builder.name} ({state.node.name})"
        print(f"Failed to get status for {where}: {state.error}", file=sys.stderr)
