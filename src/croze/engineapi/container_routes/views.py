"""Containers as `inspect` and `list` show them. Source: Docker Engine API."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator, Mapping

import msgspec

from croze.engineapi.containers import spec as specs
from croze.engineapi.containers.container import OneContainer
from croze.engineapi.times import rfc3339
from croze.gotypes import gojson
from croze.image import reference

ADDRESSES: Mapping[str, object] = {
    "EndpointID": "",
    "Gateway": "",
    "GlobalIPv6Address": "",
    "GlobalIPv6PrefixLen": 0,
    "IPAddress": "",
    "IPPrefixLen": 0,
    "IPv6Gateway": "",
    "MacAddress": "",
}
"""A container can't be reached at one of its own."""
ENDPOINT: Mapping[str, object] = {
    **ADDRESSES,
    "Aliases": None,
    "DNSNames": None,
    "DriverOpts": None,
    "IPAMConfig": None,
    "Links": None,
}


def image_text(one: OneContainer) -> str:
    """The image as the client named it."""
    return one.spec.image or reference.familiar(one.state.image_name)


def row(one: OneContainer) -> dict[str, object]:
    """A container in `GET /containers/json`."""
    process = specs.process_of(one.spec, one.state.config)
    mode = one.spec.host_config.network_mode or "default"
    return {
        "Id": one.id,
        "Names": [f"/{one.state.name}"],
        "Image": image_text(one),
        "ImageID": one.state.image_id,
        "Command": shlex.join(process.args),
        "Created": one.created_ns // 10**9,
        "Ports": [],
        "Labels": {**one.state.config.labels, **one.spec.labels},
        "State": one.state.status,
        "Status": status_text(one),
        "HostConfig": {"NetworkMode": mode},
        "NetworkSettings": {"Networks": networks(one)},
        "Mounts": mounts(one),
    }


def status_text(one: OneContainer) -> str:
    """How a container is, in Docker's words: `Up 3 seconds`, `Exited (1) 2 minutes ago`,
    `Created`."""
    state = one.state
    if state.status == "running":
        return f"Up {_span(state.started_ns)}"
    if state.status == "exited":
        return f"Exited ({state.exit_code}) {_span(state.finished_ns)} ago"
    return "Created"


def _span(since_ns: int) -> str:
    seconds = max(0, (time.time_ns() - since_ns) // 10**9)
    if seconds < 1:
        return "Less than a second"
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1)):
        if seconds >= length:
            count = seconds // length
            return f"{count} {unit}{'s' if count > 1 else ''}"
    raise AssertionError("a second is the least")


def networks(one: OneContainer) -> dict[str, object]:
    name = one.spec.host_config.network_mode or "default"
    return {"bridge" if name == "default" else name: {**ENDPOINT, "NetworkID": name}}


def mounts(one: OneContainer) -> list[dict[str, object]]:
    return [*_binds(one), *_tmpfs(one)]


def _binds(one: OneContainer) -> Iterator[dict[str, object]]:
    for mount in specs.binds(one.spec):
        yield {
            "Type": "bind",
            "Source": mount.mounts[0].source,
            "Destination": mount.dest,
            "Mode": "ro" if mount.readonly else "",
            "RW": not mount.readonly,
            "Propagation": "rprivate",
        }


def _tmpfs(one: OneContainer) -> Iterator[dict[str, object]]:
    """The tmpfs of `Mounts`: Docker shows no others here."""
    for mount in one.spec.host_config.mounts or ():
        if mount.type == "tmpfs":
            yield {
                "Type": "tmpfs",
                "Source": "",
                "Destination": mount.target,
                "Mode": "",
                "RW": not mount.read_only,
                "Propagation": "",
            }


def inspect(one: OneContainer) -> dict[str, object]:
    """A container in `GET /containers/{name}/json`."""
    state, spec = one.state, one.spec
    process = specs.process_of(spec, state.config)
    members: dict[str, object] = gojson.unmarshal(msgspec.json.encode(spec))
    host = members.pop("HostConfig")
    merged = {
        **gojson.unmarshal(gojson.marshal(state.config)),
        **members,
        "Env": specs.shown_environment(spec, state.config),
        "Image": image_text(one),
        "Hostname": one.hostname,
        "Cmd": specs.words(spec.cmd) or list(state.config.cmd) or None,
        "Entrypoint": specs.words(spec.entrypoint) or list(state.config.entrypoint) or None,
        "WorkingDir": spec.working_dir or state.config.working_dir,
        "User": process.user,
        "Labels": {**state.config.labels, **spec.labels},
    }
    return {
        "Id": one.id,
        "Created": rfc3339(one.created_ns),
        "Path": process.args[0],
        "Args": list(process.args[1:]),
        "State": _state(one),
        "Image": state.image_id,
        "Name": f"/{state.name}",
        "RestartCount": 0,
        "Driver": "overlayfs",
        "Platform": "linux",
        "LogPath": str(one.output.path),
        "ExecIDs": [each.id for each in one.execs.values() if each.exit_code is None] or None,
        "HostConfig": _host(host, one),
        "Mounts": mounts(one),
        "Config": merged,
        "NetworkSettings": {"Networks": networks(one), "Ports": {}, **ADDRESSES},
    }


def _host(host: object, one: OneContainer) -> dict[str, object]:
    members = host if isinstance(host, dict) else {}
    return {
        **members,
        "IpcMode": members.get("IpcMode") or "private",
        "CgroupnsMode": members.get("CgroupnsMode") or "private",
        "Runtime": members.get("Runtime") or "runc",
        "ShmSize": 64 << 20,
        "NetworkMode": one.spec.host_config.network_mode or "default",
        "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
        "LogConfig": {"Type": "json-file", "Config": {}},
        "PortBindings": {},
    }


def _state(one: OneContainer) -> dict[str, object]:
    state = one.state
    return {
        "Status": state.status,
        "Running": one.running,
        "Paused": False,
        "Restarting": False,
        "OOMKilled": state.oom,
        "Dead": False,
        "Pid": one.pid,
        "ExitCode": state.exit_code,
        "Error": state.error,
        "StartedAt": rfc3339(state.started_ns),
        "FinishedAt": rfc3339(state.finished_ns),
    }
