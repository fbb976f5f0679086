"""A build's record as templates see it: structs, of which every field is there.

Source: docker/buildx `commands/history/inspect.go`: types of `inspectOutput` and their fields.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import TYPE_CHECKING

from croze.gotypes.template import Fields, GoDuration, GoTime, Nil

if TYPE_CHECKING:
    from croze.client.records import history

MEMBERS = (
    *("Name", "Ref", "Context", "Dockerfile", "VCSRepository", "VCSRevision", "Target", "Platform"),
    *("KeepGitDir", "NamedContexts", "StartedAt", "CompletedAt", "Duration", "Status", "Error"),
    *("NumCompletedSteps", "NumTotalSteps", "NumCachedSteps", "BuildArgs", "Labels", "Config"),
    *("Materials", "Attachments", "Errors"),
)
CONFIG = (
    *("Network", "ExtraHosts", "Hostname", "CgroupParent", "ImageResolveMode", "MultiPlatform"),
    *("NoCache", "NoCacheFilter", "ShmSize", "Ulimit", "Memory", "MemorySwap", "CPUShares"),
    *("CPUPeriod", "CPUQuota", "CPUSetCPUs", "CPUSetMems", "CacheMountNS"),
    *("DockerfileCheckConfig", "SourceDateEpoch", "SandboxHostname", "RestRaw"),
)
_ERROR = ("Code", "Message", "Name", "Logs", "Sources", "Stack")
_PAIR = ("Name", "Value")
_NOTHING: Mapping[str, object] = {
    **dict.fromkeys(("KeepGitDir", "MultiPlatform", "NoCache"), False),
    **dict.fromkeys(("Platform", "NamedContexts", "BuildArgs", "Labels", "Materials"), ()),
    **dict.fromkeys(("Attachments", "Errors", "ExtraHosts", "NoCacheFilter", "RestRaw"), ()),
    **dict.fromkeys(("Sources", "Stack"), b""),
    "Logs": (),
    **dict.fromkeys(("NumCompletedSteps", "NumTotalSteps", "NumCachedSteps"), 0),
    **dict.fromkeys(("Duration", "Code"), 0),
    **dict.fromkeys(("StartedAt", "CompletedAt"), Nil("*time.Time")),
    "Error": Nil("*history.errorOutput"),
}
"""What isn't a text, when there is nothing to say."""
_ITEMS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    **dict.fromkeys(("NamedContexts", "BuildArgs", "Labels"), ("keyValueOutput", _PAIR)),
    "RestRaw": ("keyValueOutput", _PAIR),
    "Materials": ("materialOutput", ("URI", "Digests")),
    "Attachments": ("attachmentOutput", ("Digest", "Platform", "Type")),
}
"""The structs that lists hold: texts, and digests, which are always there."""


def of_members(members: Mapping[str, object], record: history.Record) -> Fields:
    """The members of `inspect`'s JSON as fields."""
    values = _filled(members, MEMBERS)
    values["StartedAt"] = GoTime(record.CreatedAt)
    if record.HasField("CompletedAt"):
        values["CompletedAt"] = GoTime(record.CompletedAt)
    values["Duration"] = GoDuration(str(values["Duration"]))
    config, error = members.get("Config"), members.get("Error")
    assert isinstance(config, dict)
    values["Config"] = _struct("configOutput", config, CONFIG)
    if isinstance(error, dict):
        sources = base64.b64decode(str(error.get("Sources", "")))
        values["Error"] = _struct("errorOutput", {**error, "Sources": sources}, _ERROR, error)
    ordered = {name: members[name] for name in MEMBERS if name in members}
    return Fields(values, "history.inspectOutput", ordered)


def _struct(
    name: str,
    members: Mapping[str, object],
    fields: tuple[str, ...],
    json: Mapping[str, object] | None = None,
) -> Fields:
    return Fields(_filled(members, fields), f"history.{name}", members if json is None else json)


def _filled(members: Mapping[str, object], fields: tuple[str, ...]) -> dict[str, object]:
    values = {name: members.get(name) or _NOTHING.get(name, "") for name in fields}
    for name, value in values.items():
        if name in _ITEMS and isinstance(value, list):
            values[name] = [_item(name, item) for item in value]
    return values


def _item(name: str, members: Mapping[str, object]) -> Fields:
    type_name, fields = _ITEMS[name]
    return Fields({key: members.get(key, "") for key in fields}, f"history.{type_name}", members)
