"""A build's record as a value: what `inspect` prints, in any format.

Source: docker/buildx `commands/history/inspect.go`: names and order of members, which frontend
attribute becomes which of them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from msgspec import Struct

from croze.api.attrs import of_attrs
from croze.builders.localstate import LocalState, build_name
from croze.cli.history.about_fields import CONFIG as ORDER
from croze.cli.history.about_fields import MEMBERS, of_members
from croze.cli.history.attachments import attachments, materials
from croze.cli.history.failure import BuildFailure, failure
from croze.client.records import history
from croze.errors import CrozeError
from croze.gotypes import gojson
from croze.gotypes.booleans import checked_bool
from croze.gotypes.csv_line import fields
from croze.gotypes.moments import local_rfc3339
from croze.gotypes.strings import shown
from croze.gotypes.template import Fields
from croze.image import platform as platforms

if TYPE_CHECKING:
    from croze.cli.nodes import ConnectedNode

Pairs = list[dict[str, str]]

_CONFIG = {
    "force-network-mode": "Network",
    "add-hosts": "ExtraHosts",
    "hostname": "Hostname",
    "cgroup-parent": "CgroupParent",
    "image-resolve-mode": "ImageResolveMode",
    "multi-platform": "MultiPlatform",
    "no-cache": "NoCache",
    "shm-size": "ShmSize",
    "ulimit": "Ulimit",
    "memory": "Memory",
    "memswap": "MemorySwap",
    "cpushares": "CPUShares",
    "cpuperiod": "CPUPeriod",
    "cpuquota": "CPUQuota",
    "cpusetcpus": "CPUSetCPUs",
    "cpusetmems": "CPUSetMems",
}
ARGUMENTS = {
    "BUILDKIT_CACHE_MOUNT_NS": "CacheMountNS",
    "BUILDKIT_DOCKERFILE_CHECK": "DockerfileCheckConfig",
    "SOURCE_DATE_EPOCH": "SourceDateEpoch",
    "SANDBOX_HOSTNAME": "SandboxHostname",
}
_FAMILIES = ("vcs:", "build-arg:", "label:", "context:", "attest:")


class About(Struct, frozen=True):
    """A build's record as `inspect` tells it. `members` are buildx's, by name, those that say
    nothing left out; `failure` is told apart."""

    members: Mapping[str, object]
    failure: BuildFailure | None
    full_ref: str
    record: history.Record

    def json(self) -> str:
        return gojson.marshal_indent_as_is(self._ordered()).decode()

    def fields(self) -> Fields:
        """The members for templates: one that is left out is empty."""
        return of_members(self.members, self.record)

    def _ordered(self) -> dict[str, object]:
        return {name: self.members[name] for name in MEMBERS if name in self.members}


async def describe(record: history.Record, node: ConnectedNode, now_s: float) -> About:
    """Everything that the record and its attachments tell. Raises `CrozeError`."""
    channel = node.client.channel
    state = node.local_state(record.Ref)
    attrs = {key: shown(value) for key, value in of_attrs(record.FrontendAttrs).items()}
    attrs.pop("frontend.caps", None)
    attached = await attachments(channel, record)
    failed = await failure(channel, record)
    errors: list[str] = []
    members = {
        "Name": build_name(attrs, state),
        "Ref": record.Ref,
        **context_and_dockerfile(attrs, state),
        **_source(attrs, errors),
        **_times(record, now_s, failed),
        "Error": None if failed is None else failed.members(),
        "BuildArgs": _pairs(attrs, "build-arg:"),
        "Labels": _pairs(attrs, "label:"),
        "Config": _config(attrs, errors),
        "Materials": [
            {"URI": uri, "Digests": digests} for uri, digests in await materials(channel, attached)
        ],
        "Attachments": [
            _without_empty({"Digest": one.digest, "Platform": one.platform, "Type": one.type})
            for one in attached
        ],
        "Errors": errors,
    }
    steps = {
        "NumCompletedSteps": record.numCompletedSteps,
        "NumTotalSteps": record.numTotalSteps,
        "NumCachedSteps": record.numCachedSteps,
    }
    facts = {**_without_empty(members), "Config": members["Config"], **steps}
    return About(facts, failed, node.full_ref(record.Ref), record)


_SAID = ("BUILDKIT_CONTEXT_KEEP_GIT_DIR", "BUILDKIT_MULTI_PLATFORM")


def _without_empty(members: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in members.items() if value}


def context_and_dockerfile(attrs: dict[str, str], state: LocalState | None) -> dict[str, object]:
    """Context and Dockerfile, relative to the working directory if they are below it."""
    context, dockerfile = "", ""
    if state is not None:
        context, dockerfile = state.local_path, state.dockerfile_path
        if dockerfile not in ("", "-"):
            dockerfile = _below(context, dockerfile)
        if context:
            context = _below(os.getcwd(), context)
    local = bool(context) or "context" not in attrs
    if not context:
        context = attrs.pop("context", "")
    if not dockerfile and "filename" in attrs:
        dockerfile = attrs["filename"]
        if "vcs:localdir:dockerfile" in attrs:
            dockerfile = os.path.normpath(f"{attrs['vcs:localdir:dockerfile']}/{dockerfile}")
    attrs.pop("filename", None)
    places: dict[str, object] = {"Context": context, "Dockerfile": dockerfile}
    if local or "context" not in attrs:
        places["VCSRepository"] = attrs.get("vcs:source", "")
        places["VCSRevision"] = attrs.get("vcs:revision", "")
    return places


def _below(folder: str, path: str) -> str:
    if not os.path.isabs(path) or not os.path.isabs(folder):
        return path
    relative = os.path.relpath(path, folder)
    return path if relative.startswith("../") else relative


def _source(attrs: dict[str, str], errors: list[str]) -> dict[str, object]:
    return {
        "Target": attrs.pop("target", ""),
        "Platform": _read(attrs, "platform", _platforms, errors),
        "KeepGitDir": _read(attrs, f"build-arg:{_SAID[0]}", checked_bool, errors),
        "NamedContexts": _pairs(attrs, "context:"),
    }


def _times(record: history.Record, now_s: float, failed: BuildFailure | None) -> dict[str, object]:
    is_completed = record.HasField("CompletedAt")
    status = "completed" if is_completed else "running"
    if failed is not None and failed.status:
        status = failed.status
    return {
        "StartedAt": local_rfc3339(record.CreatedAt),
        "CompletedAt": local_rfc3339(record.CompletedAt) if is_completed else "",
        "Duration": _duration_ns(record, now_s),
        "Status": status,
    }


def _duration_ns(record: history.Record, now_s: float) -> int:
    if not record.HasField("CompletedAt"):
        return int(history.duration_s(record, now_s) * 1e9)
    end, start = record.CompletedAt, record.CreatedAt
    return (end.seconds - start.seconds) * 10**9 + end.nanos - start.nanos


def _config(attrs: dict[str, str], errors: list[str]) -> dict[str, object]:
    config: dict[str, object] = {}
    if f"build-arg:{_SAID[1]}" in attrs:
        config["MultiPlatform"] = _read(attrs, f"build-arg:{_SAID[1]}", checked_bool, errors)
    no_cache = attrs.pop("no-cache", None)
    config["NoCache"] = no_cache == ""
    config["NoCacheFilter"] = no_cache.split(",") if no_cache else None
    for key, name in _CONFIG.items():
        if key == "multi-platform" and key in attrs:
            config[name] = _read(attrs, key, checked_bool, errors)
        elif key == "add-hosts":
            config[name] = _read(attrs, key, fields, errors)
        elif key in attrs:
            config[name] = attrs.pop(key)
    for argument, name in ARGUMENTS.items():
        config[name] = attrs.pop(f"build-arg:{argument}", "")
    rest = [
        {"Name": key, "Value": value}
        for key, value in sorted(attrs.items())
        if not key.startswith(_FAMILIES)
    ]
    config["RestRaw"] = rest
    return {name: config[name] for name in ORDER if config.get(name)}


def _read(
    attrs: dict[str, str], key: str, read: Callable[[str], object], errors: list[str]
) -> object:
    """An attribute's value; one that can't be read is told of."""
    text = attrs.pop(key, None)
    if text is None:
        return None
    try:
        return read(text)
    except (CrozeError, ValueError) as error:
        errors.append(f"failed to parse {text}: ({error})")
        return None


def _platforms(text: str) -> list[str]:
    parsed = (platforms.parse(word) for word in text.split(","))
    return [platforms.format_all(platforms.normalize(one)) for one in parsed]


def _pairs(attrs: Mapping[str, str], prefix: str) -> Pairs:
    names = sorted(key.removeprefix(prefix) for key in attrs if key.startswith(prefix))
    pairs = ((name, attrs[prefix + name]) for name in names)
    return [{"Name": name, "Value": value} if value else {"Name": name} for name, value in pairs]
