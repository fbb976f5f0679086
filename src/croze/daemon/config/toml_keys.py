"""The names in `buildkitd.toml`: which are known, which are refused, which mean nothing here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, get_args

import msgspec
from msgspec import Struct
from msgspec.structs import FieldInfo

from croze.errors import InvalidRequest, Unsupported
from croze.store.contract import SnapshotterName

_CONTAINERD = "crozed runs containers itself and has no containerd worker"

REFUSED = {
    "grpc.securityDescriptor": "named pipes are for Windows",
    "worker.containerd.enabled": f"{_CONTAINERD}: use the OCI worker",
    "worker.oci.userRemapUnsupported": "crozed can't map the users of builds; run it rootless",
    "worker.oci.proxySnapshotterPath": "crozed can't use other processes' snapshotters",
    "worker.oci.selinux": "crozed puts no SELinux labels on containers",
    "ghacache.verify.required": "say so in [cache.gha.verify]: that is what BuildKit reads, and "
    "without it caches that nobody signed are used",
}
"""Refused unless empty or false: going on without them would be worse than not going on."""

REFUSED_SNAPSHOTTERS = {
    "fuse-overlayfs": "overlayfs itself works for ordinary users since Linux 5.11, and native does "
    "everywhere",
    "stargz": "crozed pulls layers whole",
}
"""Snapshotters of BuildKit's."""

INERT = {
    "ghacache": "the table that BuildKit's documentation calls so is [cache.gha]",
    "worker.containerd": _CONTAINERD,
    "worker.oci.stargzSnapshotter": "there is no stargz snapshotter",
}
"""Tables and keys of BuildKit's that may stand there and do nothing."""

DEPRECATED = {
    "debug": "'debug' configuration option is deprecated, use 'log.level = \"debug\"' instead",
    "trace": "'trace' configuration option is deprecated, use 'log.level = \"trace\"' instead",
    "worker.oci.gckeepstorage": "'gckeepstorage' is deprecated, use 'reservedSpace' instead",
}
"""With BuildKit's own warnings where it has one."""


def snapshotter_named(name: str) -> SnapshotterName:
    """The snapshotter of a name in the configuration. Raises `Unsupported`, `InvalidRequest`."""
    if reason := REFUSED_SNAPSHOTTERS.get(name):
        raise Unsupported(f"the snapshotter {name} is not supported: {reason}")
    match name:
        case "auto" | "overlayfs" | "native":
            return name
        case "":
            return "auto"
    raise InvalidRequest(f'unknown snapshotter name: "{name}"')


class _Place(Struct, frozen=True):
    """What a field's values are: `kind` at the end of so many lists and tables."""

    kind: type[msgspec.Struct] | None
    by_name: bool = False
    """Whether the table's own keys are names that the user gives."""


def _place(annotation: object) -> _Place:
    arguments = get_args(annotation)
    for candidate in (annotation, *arguments):
        if isinstance(candidate, type) and issubclass(candidate, msgspec.Struct):
            return _Place(candidate, by_name=len(arguments) == 2 and arguments[0] is str)
    return _Place(None)


def canonical(raw: Mapping[str, object], kind: type[msgspec.Struct]) -> dict[str, Any]:
    """The table with the names that `kind` has: case does not matter, as it doesn't to BuildKit's
    TOML reader. Other names stay as they are."""
    fields = _fields(kind)
    out: dict[str, Any] = {}
    for key, value in raw.items():
        field = fields.get(key.lower())
        name = field.encode_name if field else key
        out[name] = _renamed(value, _place(field.type)) if field else value
    return out


def _fields(kind: type[msgspec.Struct]) -> Mapping[str, FieldInfo]:
    return {field.encode_name.lower(): field for field in msgspec.structs.fields(kind)}


def _renamed(value: object, place: _Place) -> object:
    if place.kind is None:
        return value
    if isinstance(value, list):
        return [_renamed(item, place) for item in value]
    if not isinstance(value, Mapping):
        return value
    if place.by_name:
        return {key: _renamed(item, _Place(place.kind)) for key, item in value.items()}
    return canonical(value, place.kind)


def remarks(
    table: Mapping[str, object], kind: type[msgspec.Struct], prefix: str = ""
) -> Iterator[str]:
    """Sentences for the log about keys that are unknown, have no effect or are old. Raises
    `Unsupported` for a key that is refused."""
    fields = _fields(kind)
    for key, value in table.items():
        field = fields.get(key.lower())
        yield from _judge(f"{prefix}{key}", value, is_known=field is not None)
        place = _place(field.type) if field else _Place(None)
        if place.kind is not None and not place.by_name and isinstance(value, Mapping):
            yield from remarks(value, place.kind, f"{prefix}{key}.")


def _judge(name: str, value: object, *, is_known: bool, inside: bool = False) -> Iterator[str]:
    """What is to be said of a key; `inside`: of a table that is not ours as a whole."""
    refusal, reason = _note(name, REFUSED), _note(name, INERT)
    if refusal and value:
        raise Unsupported(f"config: {name} is not supported: {refusal}")
    if ((reason and not is_known) or inside) and isinstance(value, Mapping):
        for key, below in value.items():
            yield from _judge(f"{name}.{key}", below, is_known=True, inside=True)
    if reason and not _says_nothing(value):
        yield f"config: {name} has no effect: {reason}"
    if not (is_known or refusal or reason):
        yield f"config: unknown key {name} has no effect"
    if value and (note := _note(name, DEPRECATED)):
        yield note


def _says_nothing(value: object) -> bool:
    if isinstance(value, Mapping):
        return all(_says_nothing(below) for below in value.values())
    return not value


def _note(name: str, notes: Mapping[str, str]) -> str:
    return next((text for key, text in notes.items() if key.lower() == name.lower()), "")
