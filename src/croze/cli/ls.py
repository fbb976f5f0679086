"""`croze ls`: builders, their nodes, and how those are."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from croze.builders import choose
from croze.builders.known import known
from croze.builders.model import BuilderInstance, format_in_groups
from croze.builders.platforms import shortened
from croze.cli.builder import add_timeout, timeout_s
from croze.cli.builder_fields import ListedBuilder, builder_fields
from croze.cli.flags import Flags, UsageError
from croze.cli.format import formatted, is_json, is_table
from croze.client.docker.cli_config import configured_proxies
from croze.drivers.local import address_from_environment
from croze.drivers.nodes import NodeState, load
from croze.files.standard import keep_order
from croze.gotypes import gojson
from croze.gotypes.template import Fields

if TYPE_CHECKING:
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
        # --builder and BUILDX_BUILDER, which every command takes, are of no account here.
        current = here.builder(address_from_environment())
        builders = choose.everybody(here.stored, here.contexts)
        if not any(_is(builder, current) for builder in builders):
            builders.append(current)  # an address, which no file tells of
        activity = {b.name: here.stored.last_activity(b.name) for b in builders}
    proxies = configured_proxies()
    states = asyncio.run(_load_all(builders, here.contexts, limit_s))
    listed = [
        ListedBuilder(builder, nodes, _is(builder, current), activity[builder.name], proxies)
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
    listed = sorted(listed, key=lambda one: bool(one.error))
    if is_json(format):
        for one in listed:
            # A template is filled in for each node, too, of which this one asks nothing.
            count = 1 if format == "json" or one.error else 1 + len(one.states)
            print(*[gojson.marshal(one.json()).decode()] * count, sep="\n")
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
    from croze.cli.builder_json import shown_driver

    builder = one.builder
    at = one.last_activity
    yield _fields(
        one,
        Name=builder.name + ("*" if one.current and table else ""),
        DriverEndpoint=shown_driver(builder, one.states),
        LastActivity="" if at is None else f"{at:%Y-%m-%dT%H:%M:%SZ}",
        Status="error" if one.error else "",
        Error=one.error,
    )
    indent = INDENT if table else ""
    for state in () if one.error else one.states:
        platforms = format_in_groups(state.fixed_platforms, state.detected_platforms)
        yield _fields(
            one,
            Name=indent + state.node.name,
            DriverEndpoint=indent + state.node.endpoint,
            Status="error" if state.error else str(state.status or ""),
            Buildkit=state.version,
            Platforms=shortened(platforms, MOST_PLATFORMS)
            if table and trunc
            else ", ".join(platforms),
            Error=state.error,
        )


def _fields(one: ListedBuilder, **values: str) -> Fields:
    empty = dict.fromkeys((*HEADERS, "Error"), "")
    fields = {**empty, **values, "Builder": builder_fields(one)}
    return Fields(fields, "*commands.lsContext", one.json())


def _complain(listed: Sequence[ListedBuilder]) -> None:
    complaints: list[str] = []
    for one in listed:
        if one.error:
            complaints.append(f"Cannot load builder {one.builder.name}: {one.error}")
            continue
        for state in one.states:
            where = f"{one.builder.name} ({state.node.name})"
            if state.error:
                complaints.append(f"Failed to get status for {where}: {state.error}")
    if complaints:
        keep_order()
        print("", *complaints, sep="\n", file=sys.stderr)
