"""Builds with a builder of several nodes: which of them build what."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from croze.builders.model import parse_platforms
from croze.builders.multinode import parse_choice
from croze.client.builds.build import met, met_for, run_build
from croze.client.builds.links import LINK
from croze.client.builds.metadata import clear_files, write_files
from croze.client.builds.multinode import BuildNode, NodePart, split_build
from croze.client.builds.result import BuildResult
from croze.client.builds.targets import TargetResult, build_targets
from croze.client.planning.options import BuildOptions, call_name
from croze.drivers.multinode import NodeOffer, Nodes
from croze.errors import CrozeError
from croze.identity import new_id
from croze.progress.own import prefixed
from croze.sdk.daemons import client_builder
from croze.sdk.merge import merging
from croze.sdk.remember import ONLY, remembered, remembered_group

if TYPE_CHECKING:
    from croze.api import control_pb2
    from croze.client.connect import Client
    from croze.drivers.reach import Reach
    from croze.progress.display import Display

CHOICE = "CROZE_NODE_CHOICE"


async def build_on_nodes(
    there: Sequence[Reach],
    options: BuildOptions,
    display: Display,
    builder_name: str,
    *,
    solving: Callable[[], None] | None = None,
) -> BuildResult:
    """Do one build on the nodes that its platforms ask for, and write its files. `builder_name` is
    as the user gave it; `solving` is called when the nodes are there."""
    async with _opened(there, display) as nodes:
        platforms = parse_platforms(tuple(options.platforms))
        shares = (await nodes.shares({ONLY: platforms}))[ONLY]
        clients = await nodes.clients([share.node for share in shares])
        if solving is not None:
            solving()
        if len(shares) == 1:
            (share,) = shares
            options = remembered(options, there[share.node])
            builder = client_builder(there[share.node])
            client = clients[share.node]
            return await run_build(client, options, display, builder=builder)
        clear_files(options)
        parts = []
        for share in shares:
            options = remembered(options, there[share.node])
            builder = client_builder(there[share.node])
            traits = await met(clients[share.node], builder, options)
            node = BuildNode(clients[share.node], traits or builder, share.node)
            parts.append((node, share.platforms))
        results = await build_targets(
            {ONLY: await split_build(options, parts)},
            display,
            merge=merging(builder_name),
            provenance=bool(options.metadata_file) and not call_name(options.call),
            bake=False,
        )
    result = replace(results[ONLY].result, warnings=tuple(display.warnings))
    write_files(options, result, results[ONLY].provenance)
    return result


async def build_all(
    there: Sequence[Reach],
    builds: Mapping[str, BuildOptions],
    display: Display,
    builder_name: str,
    *,
    names: Sequence[str] = (),
    provenance: bool,
    solving: Callable[[], None] | None = None,
) -> dict[str, TargetResult]:
    """Build targets on the nodes of a builder, of which there may be but one; `names` is what was
    asked for. `solving` is called when the nodes are there."""
    group, sent = new_id(), list[BuildOptions]()
    platforms_of = {name: parse_platforms(tuple(each.platforms)) for name, each in builds.items()}
    async with _opened(there, display) as nodes:
        shares = await nodes.shares(platforms_of, linked(builds))
        chosen = sorted({share.node for its in shares.values() for share in its})
        clients = await nodes.clients(chosen)
        if solving is not None:
            solving()
        build_nodes = {node: await _known(node, clients, there, builds) for node in chosen}
        parts: dict[str, Sequence[NodePart]] = {}
        for name, options in builds.items():
            for share in shares[name]:
                options = remembered(options, there[share.node], name, group)
            sent.append(options)
            its = [(build_nodes[share.node], share.platforms) for share in shares[name]]
            parts[name] = await split_build(options, its)
        remembered_group(group, names, sent)
        merge = merging(builder_name)
        return await build_targets(parts, display, merge=merge, provenance=provenance)


async def _known(
    number: int,
    clients: Mapping[int, Client],
    there: Sequence[Reach],
    builds: Mapping[str, BuildOptions],
) -> BuildNode:
    client, builder = clients[number], client_builder(there[number])
    return BuildNode(client, await met_for(client, builder, builds) or builder, number)


def linked(builds: Mapping[str, BuildOptions]) -> list[list[str]]:
    """Targets in groups of those that are built on one another, whichever way."""
    group_of = {name: name for name in builds}
    for name, options in builds.items():
        contexts = options.build_contexts
        values = contexts.values() if isinstance(contexts, Mapping) else ()
        for base in (v.removeprefix(LINK) for v in values if v.startswith(LINK)):
            if base in group_of:
                old, new = group_of[name], group_of[base]
                group_of = {each: new if at == old else at for each, at in group_of.items()}
    groups: dict[str, list[str]] = {}
    for name, group in group_of.items():
        groups.setdefault(group, []).append(name)
    return [group for group in groups.values() if len(group) > 1]


def _opened(there: Sequence[Reach], display: Display) -> Nodes:
    offers = [_offer(each, display, many=len(there) > 1) for each in there]
    return Nodes(offers, parse_choice(os.environ.get(CHOICE, "")))


def _offer(there: Reach, display: Display, *, many: bool) -> NodeOffer:
    """What it takes to bring the node up is shown in the build's own display, which is closed if
    that fails: no build follows."""
    driver = there.driver
    if driver is None:
        return there.offer

    def show(status: control_pb2.StatusResponse) -> None:
        display.update(prefixed(there.node, status) if many else status)
        display.refresh()

    async def boot() -> None:
        try:
            await driver.boot(show)
        except CrozeError:
            display.close()
            raise

    return replace(there.offer, boot=boot)
