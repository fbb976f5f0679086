"""`croze inspect`: everything about a builder and its nodes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from croze.builders.known import known
from croze.builders.model import BuilderInstance, format_in_groups
from croze.cli.boot import boot as bring_up
from croze.cli.builder import add_timeout, named, timeout_s
from croze.cli.flags import Flags
from croze.drivers.contract import NodeStatus
from croze.drivers.nodes import NodeState, load
from croze.gotypes.duration import format_duration
from croze.gotypes.quote import quote
from croze.gotypes.sizes import binary_size
from croze.gotypes.tabwriter import align

if TYPE_CHECKING:
    from datetime import datetime

    from croze.api import worker_pb2
    from croze.builders.contexts import Contexts
    from croze.cli.common import Common

COMMAND = "croze inspect"
Row = tuple[str, ...]
"""Cells of a line; the last one does not count for the width of its column."""


def run(argv: Sequence[str], common: Common) -> int:
    flags = Flags(COMMAND, "Inspect current builder instance", "[NAME]")
    flags.switch("--bootstrap", help="Ensure builder has booted before inspecting")
    add_timeout(flags)
    flags.one_argument("name", metavar="NAME")
    args = flags.read(argv, common)
    limit_s = timeout_s(args.timeout, COMMAND)
    with known() as here:
        builder = here.builder(named(args.name, common))
        last_activity = here.stored.last_activity(builder.name)
    states = asyncio.run(_states(builder, here.contexts, limit_s, boot=args.bootstrap))
    rows = _rows(builder, states, last_activity)
    print(align("\n".join("\t".join(row) for row in rows)))
    return 0


async def _states(
    builder: BuilderInstance, contexts: Contexts, limit_s: float, *, boot: bool
) -> list[NodeState]:
    states = await load(builder, contexts, limit_s)
    idle = [
        (s.node.name, s.driver)
        for s in states
        if s.driver is not None and not s.error and s.status is not NodeStatus.RUNNING
    ]
    if not boot or not idle:
        return states
    await bring_up(idle)
    return await load(builder, contexts, limit_s)


def _rows(
    builder: BuilderInstance, states: Sequence[NodeState], last_activity: datetime | None
) -> Iterator[Row]:
    yield ("Name:", builder.name)
    yield ("Driver:", builder.driver)
    if last_activity is not None:
        yield ("Last Activity:", f"{last_activity:%Y-%m-%d %H:%M:%S} +0000 UTC")
    yield ()
    yield ("Nodes:",)
    for number, state in enumerate(states):
        if number:
            yield ()
        yield from _node(state)


def _node(state: NodeState) -> Iterator[Row]:
    node = state.node
    yield ("Name:", node.name)
    yield ("Endpoint:", node.endpoint)
    if node.driver_opts:
        options = (f"{key}={quote(value)}" for key, value in node.driver_opts.items())
        yield ("Driver Options:", " ".join(options))
    if state.error:
        yield ("Error:", state.error)
        return
    yield ("Status:", state.status or "")
    if node.flags:
        yield ("BuildKit daemon flags:", " ".join(node.flags))
    if state.version:
        yield ("BuildKit version:", state.version)
    if shown := format_in_groups(state.fixed_platforms, state.detected_platforms):
        yield ("Platforms:", ", ".join(shown))
    if state.workers:
        yield from _worker(state.workers[0])
    for name, data in (node.files or {}).items():
        yield (f"File#{name}:",)
        for line in data.decode(errors="replace").split("\n"):
            yield ("", f"> {line}")


def _worker(worker: worker_pb2.WorkerRecord) -> Iterator[Row]:
    if worker.Labels:
        yield ("Labels:",)
        for key, value in sorted(worker.Labels.items()):
            yield ("", f"{key}:", value)
    if worker.CDIDevices:
        yield ("Devices:",)
        for device in worker.CDIDevices:
            yield from _device(device)
    for number, rule in enumerate(worker.GCPolicy):
        yield (f"GC Policy rule#{number}:",)
        yield from _rule(rule)


def _device(device: worker_pb2.CDIDevice) -> Iterator[Row]:
    yield ("", "Name:", device.Name)
    if device.OnDemand:
        yield ("", "On-Demand:", "true")
    else:
        yield ("", "Automatically allowed:", str(device.AutoAllow).lower())
    if device.Annotations:
        yield ("", "Annotations:")
        for key, value in sorted(device.Annotations.items()):
            yield ("", "", f"{key}:", value)


def _rule(rule: worker_pb2.GCPolicy) -> Iterator[Row]:
    yield ("", "All:", str(rule.all).lower())
    if rule.filters:
        yield ("", "Filters:", " ".join(rule.filters))
    if rule.keepDuration:
        yield ("", "Keep Duration:", format_duration(rule.keepDuration))
    sizes = (
        ("Reserved Space:", rule.reservedSpace),
        ("Max Used Space:", rule.maxUsedSpace),
        ("Min Free Space:", rule.minFreeSpace),
    )
    for name, value in sizes:
        if value > 0:
            yield ("", name, binary_size(value))
