"""A builder and its nodes as the templates of `ls` see them.

Source: docker/buildx `commands/ls.go` (`lsBuilder`), `builder/node.go`, `store/nodegroup.go`;
BuildKit `client/prune.go`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from croze.builders.model import BuilderInstance, BuilderNode
from croze.cli.builder_json import members, node_json, shown_driver
from croze.drivers.nodes import NodeState, builder_error, is_dynamic
from croze.files.settings import parse_json
from croze.gotypes import gojson
from croze.gotypes.template import Fields
from croze.gotypes.template.times import GoDuration, GoTime
from croze.gotypes.template.values import Nil, NilTexts, Texts
from croze.image import platform as platforms
from croze.image.platform import Platform

if TYPE_CHECKING:
    from datetime import datetime

    from croze.api import worker_pb2


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
        """The members of its JSON, in order, with whether it is the current one."""
        shown: dict[str, object] = parse_json(gojson.marshal(self.own_json()))
        return dict(sorted({**shown, "Current": self.current}.items()))

    def own_json(self) -> dict[str, object]:
        """The members that `json` gives of the builder in a template."""
        return members(self.builder, self.states, self.last_activity, self.proxies)


class _Second(Struct):
    seconds: int
    nanos: int = 0


_YEAR_1_S = -62135596800


class _GoTimeValue(GoTime):
    """A time that is no pointer to one."""

    type_name = "time.Time"


def builder_fields(one: ListedBuilder) -> Fields:
    """What is there to be asked for, by Go's names."""
    builder, at = one.builder, one.last_activity
    states = one.states
    if one.error:  # nobody has looked at its nodes
        states = [NodeState(BuilderNode("", "")) for _ in one.states]
    seconds = _YEAR_1_S if at is None else int(at.timestamp())
    group = {
        "Name": builder.name,
        "Driver": shown_driver(builder, one.states),
        "Nodes": [_stored(node) for node in builder.members],
        "Dynamic": builder.dynamic or is_dynamic(one.states),
        "DockerContext": builder.driver == "docker",
        "LastActivity": _GoTimeValue(_Second(seconds), offset_s=0),
    }
    values = {
        **group,
        "Err": one.error or Nil("error"),
        "Nodes": [_node(builder, state, one.proxies) for state in states],
        "Current": one.current,
        "NodeGroup": Fields(group, "*store.NodeGroup"),
    }
    return Fields(values, "*commands.lsBuilder", one.own_json())


def _stored(node: BuilderNode) -> Fields:
    return Fields(_of_file(node), "store.Node")


def _of_file(node: BuilderNode) -> dict[str, object]:
    return {
        "Name": node.name,
        "Endpoint": node.endpoint,
        "Platforms": [_platform(one) for one in node.platforms or ()],
        "DriverOpts": node.driver_opts or {},
        "BuildkitdFlags": _texts(node.flags or ()),
        "Files": node.files or {},
    }


def _node(builder: BuilderInstance, state: NodeState, proxies: Mapping[str, str]) -> Fields:
    first = state.workers[0] if state.workers else None
    every = (*state.fixed_platforms, *state.detected_platforms)
    once = {platforms.format(one): one for one in every}
    values = {
        **_of_file(state.node),
        "Builder": builder.name,
        "ProxyConfig": proxies,
        "Version": state.version,
        "Err": state.error or Nil("error"),
        "IDs": _texts(sorted(worker.ID for worker in state.workers)),
        "Platforms": [_platform(one) for one in once.values()],
        "GCPolicy": [] if first is None else [_rule(rule) for rule in first.GCPolicy],
        "Labels": {} if first is None else dict(first.Labels),
        "CDIDevices": [] if first is None else [_device(one) for one in first.CDIDevices],
    }
    return Fields(values, "builder.Node", node_json(state, proxies))


def _platform(one: Platform) -> Fields:
    values = {
        "Architecture": one.architecture,
        "OS": one.os,
        "OSVersion": one.os_version,
        "OSFeatures": _texts(one.os_features),
        "Variant": one.variant,
    }
    return Fields(values, "v1.Platform")


def _rule(rule: worker_pb2.GCPolicy) -> Fields:
    values = {
        "All": rule.all,
        "Filter": _texts(rule.filters),
        "KeepDuration": GoDuration(rule.keepDuration),
        "ReservedSpace": rule.reservedSpace,
        "MaxUsedSpace": rule.maxUsedSpace,
        "MinFreeSpace": rule.minFreeSpace,
    }
    return Fields(values, "client.PruneInfo")


def _device(device: worker_pb2.CDIDevice) -> Fields:
    values = {
        "Name": device.Name,
        "AutoAllow": device.AutoAllow,
        "Annotations": dict(device.Annotations),
        "OnDemand": device.OnDemand,
    }
    return Fields(values, "client.CDIDevice")


def _texts(texts: Sequence[str]) -> Texts:
    return Texts(texts) if texts else NilTexts()
