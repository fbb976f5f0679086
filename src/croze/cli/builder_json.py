"""A builder and its nodes as `ls --format json` prints them: JSON, keys in Go's order.

Source: docker/buildx `builder/node.go`, `commands/ls.go`.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from croze.builders.model import BuilderInstance
from croze.drivers.nodes import NodeState, builder_error, is_dynamic
from croze.gotypes.template import Fields
from croze.image import platform as platforms

if TYPE_CHECKING:
    from croze.api import worker_pb2

NEVER = "0001-01-01T00:00:00Z"


def members(
    builder: BuilderInstance,
    states: Sequence[NodeState],
    last_activity: datetime | None,
    proxies: Mapping[str, str],
) -> dict[str, object]:
    """The members of a builder's JSON."""
    at = NEVER if last_activity is None else last_activity.strftime("%Y-%m-%dT%H:%M:%SZ")
    value: dict[str, object] = {
        "Name": builder.name,
        "Driver": shown_driver(builder, states),
        "LastActivity": at,
        "Dynamic": builder.dynamic or is_dynamic(states),
        "Nodes": [node_json(state, proxies) for state in states],
    }
    if error := builder_error(builder, states):
        value |= {"Err": error, "Nodes": [Fields({"Name": "", "Endpoint": ""}) for _ in states]}
    return value


def shown_driver(builder: BuilderInstance, states: Sequence[NodeState]) -> str:
    """Nothing for a docker context's engine that does not answer: buildx asks it for its driver."""
    is_silent = builder.driver == "docker" and builder_error(builder, states)
    return "" if is_silent else builder.driver


def node_json(state: NodeState, proxies: Mapping[str, str]) -> Fields:
    """A node's members. Those that say nothing are left out, but for the two that name it."""
    node, first = state.node, state.workers[0] if state.workers else None
    detected = (platforms.format(p) for p in state.detected_platforms)
    fixed = (platforms.format(p) for p in state.fixed_platforms)
    members: dict[str, object] = {
        "Flags": list(node.flags or ()),
        "DriverOpts": node.driver_opts,
        "Files": {
            name: base64.b64encode(data).decode() for name, data in (node.files or {}).items()
        },
        "Status": "error" if state.error else state.status,
        "ProxyConfig": proxies,
        "Version": state.version,
        "Err": state.error,
        "IDs": sorted(worker.ID for worker in state.workers),
        "Platforms": list(dict.fromkeys((*fixed, *detected))),
        "GCPolicy": [] if first is None else [_rule(rule) for rule in first.GCPolicy],
        "Labels": {} if first is None else _labels(first.Labels),
    }
    filled = {key: value for key, value in members.items() if value}
    return Fields({"Name": node.name, "Endpoint": node.endpoint, **filled})


def _labels(labels: Mapping[str, str]) -> dict[str, str]:
    return dict(labels)


def _rule(rule: worker_pb2.GCPolicy) -> Fields:
    values = {
        "all": rule.all,
        "filter": list(rule.filters) or None,
        "keepDuration": rule.keepDuration,
        "reservedSpace": rule.reservedSpace,
        "maxUsedSpace": rule.maxUsedSpace,
        "minFreeSpace": rule.minFreeSpace,
    }
    return Fields(values)
