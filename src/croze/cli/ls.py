"""`croze ls`: builders, their nodes, and how those are."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from croze.builders import choose
from croze.builders.known import known
from croze.builders.model import BuilderInstance, BuilderNode, format_in_groups
from croze.builders.platforms import shortened
from croze.cli.builder import add_timeout, timeout_s
from croze.cli.flags import Flags, UsageError
from croze.cli.format import formatted, is_json, is_table
from croze.client.docker.cli_config import configured_proxies
from croze.drivers.local import address_from_environment
from croze.drivers.nodes import NodeState, builder_error, load
from croze.files.standard import keep_order
from croze.gotypes import gojson
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
    proxies: Mapping[str, str]
    """What builds are told of proxies, by the Docker CLI's configuration."""

    @property
    def error(self) -> str:
        """Why its nodes are not looked at."""
        return builder_error(self.builder, self.states)

    def json(self) -> dict[str, object]:
        """The members of its JSON, in order."""
        from croze.cli.builder_json import members

        value = members(self.builder, self.states, self.current, self.last_activity, self.proxies)
        return dict(sorted(value.items()))


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
    members = one.json()
    at = one.last_activity
    if one.error:  # nobody has looked at its nodes
        nodes = [_node_fields(NodeState(BuilderNode("", "")), {}) for _ in one.states]
    else:
        nodes = [_node_fields(state, one.proxies) for state in one.states]
    activity = "0001-01-01 00:00:00" if at is None else f"{at:%Y-%m-%d %H:%M:%S}"
    of_builder = {**members, "LastActivity": f"{activity} +0000 UTC", "Nodes": nodes}
    builder = Fields({"Err": None, **of_builder}, "*commands.lsBuilder", members)
    empty = dict.fromkeys((*HEADERS, "Error"), "")
    return Fields({**empty, **values, "Builder": builder}, "*commands.lsContext", members)


def _node_fields(state: NodeState, proxies: Mapping[str, str]) -> Fields:
    node = state.node
    values = {
        "Name": node.name,
        "Endpoint": node.endpoint,
        "BuildkitdFlags": list(node.flags or ()),
        "DriverOpts": node.driver_opts or {},
        "ProxyConfig": proxies,
        "Version": state.version,
        "Err": state.error or None,
        "IDs": sorted(worker.ID for worker in state.workers),
        "Labels": dict(state.workers[0].Labels) if state.workers else {},
    }
    return Fields(values, "builder.Node")


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
