"""`croze inspect`: everything about a builder and its nodes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from croze.builders.known import known
from croze.builders.model import BuilderInstance, format_in_groups
from croze.cli.boot import boot as bring_up
from croze.cli.builder import add_timeout, in_force, timeout_s
from croze.cli.builder_json import shown_driver
from croze.cli.flags import Flags
from croze.drivers.contract import NodeStatus
from croze.drivers.nodes import NodeState, builder_error, load
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
SNAPSHOTTER = "org.mobyproject.buildkit.worker.snapshotter"
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
        builder = here.builder(in_force(args.name, common))
        last_activity = here.stored.last_activity(builder.name)
    states = asyncio.run(_states(builder, here.contexts, limit_s, boot=args.bootstrap))
    rows = _rows(builder, states, last_activity, debug=common.shows_all())
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
    builder: BuilderInstance,
    states: Sequence[NodeState],
    last_activity: datetime | None,
    *,
    debug: bool,
) -> Iterator[Row]:
    yield ("Name:", builder.name)
    yield ("Driver:", shown_driver(builder, states))
    if last_activity is not None:
        yield ("Last Activity:", f"{last_activity:%Y-%m-%d %H:%M:%S} +0000 UTC")
    if error := builder_error(builder, states):
        yield ("Error:", error)
        return
    yield ()
    yield ("Nodes:",)
    for number, state in enumerate(states):
        if number:
            yield ()
        yield from _node(state, _features(builder, state) if debug else {})


def _features(builder: BuilderInstance, state: NodeState) -> dict[str, bool]:
    """What the node's driver can do. In a Docker engine it takes the image store of containerd."""
    stores = any(SNAPSHOTTER in worker.Labels for worker in state.workers)
    can = stores or builder.driver != "docker"
    features = {
        "Automatically load images to the Docker Engine image store": (
            state.driver is not None and state.driver.default_load
        ),
        "Cache export": can,
        "Direct push": can,
        "Docker exporter": can and builder.driver != "kubernetes",
        "Multi-platform build": can,
        "OCI exporter": can,
    }
    return {**features, "Prefer image digest": can} if builder.driver == "docker" else features


def _node(state: NodeState, features: Mapping[str, bool]) -> Iterator[Row]:
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
    if features:
        yield ("Features:",)
        for name, can in features.items():
            yield ("", f"{name}:", str(can).lower())
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
