"""Lists that name each thing once: of two entries for one the later counts.

Source of the keys and messages: compose-go.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from croze.bake.compose.data import Data, Path
from croze.bake.compose.merge import MergeError, fits, plain_text, type_name
from croze.bake.compose.moments import Moment
from croze.bake.compose.volumes import mount_target

_Index = Callable[[Data, str], str]


def unique(value: Data, path: Path = ()) -> Data:
    """The data with such lists shortened. Raises `MergeError` for entries that name nothing."""
    if isinstance(value, dict):
        return {key: unique(each, (*path, key)) for key, each in value.items()}
    if not isinstance(value, list):
        return value
    index = next((read for pattern, read in _INDEXES if fits(path, pattern)), None)
    if index is None:
        return value
    last: dict[str, Data] = {}
    for number, each in enumerate(value):
        last[index(each, ".".join((*path, f"[{number}]")))] = each
    return list(last.values())


def _key(entry: Data, where: str) -> str:
    if not isinstance(entry, str) or isinstance(entry, Moment):
        raise MergeError(f"{where}: unexpected type {type_name(entry)}")
    return entry.partition("=")[0]


def _volume(entry: Data, where: str) -> str:
    if isinstance(entry, dict):
        return _target(entry, f"service volume {where} is missing a mount target")
    return mount_target(entry) if isinstance(entry, str) else ""


def _device(entry: Data, where: str) -> str:
    if isinstance(entry, dict):
        return _target(entry, f"service device {where} is missing a mount target")
    parts = entry.split(":") if isinstance(entry, str) else [""]
    return parts[1] if len(parts) > 1 else parts[0]


def _target(entry: dict[str, Data], missing: str) -> str:
    target = entry.get("target")
    if not isinstance(target, str):
        raise MergeError(missing)
    return target


def _exposed(entry: Data, where: str) -> str:
    if type(entry) is int or (isinstance(entry, str) and not isinstance(entry, Moment)):
        return str(entry)
    raise MergeError(f"{where}: unsupported expose value {verb_s(entry)}")


def _mount(entry: Data, where: str) -> str:
    if isinstance(entry, dict):
        return plain_text(entry.get("target", f"/{plain_text(entry.get('source'))}"))
    if isinstance(entry, str) and not isinstance(entry, Moment):
        return f"/{entry}"
    raise MergeError(f"{where}: unsupported expose value {verb_s(entry)}")


def _port(entry: Data, where: str) -> str:
    if isinstance(entry, dict) and "target" not in entry:
        raise MergeError(f"service ports {where} is missing a target port")
    return plain_text(entry)


def _env_file(entry: Data, where: str) -> str:
    if not isinstance(entry, dict):
        return plain_text(entry)
    if "path" not in entry:
        raise MergeError(f"environment path attribute {where} is missing")
    return plain_text(entry["path"])


def verb_s(value: Data) -> str:
    """A value as Go's %s prints it, which says what is no text."""
    match value:
        case None:
            return "%!s(<nil>)"
        case dict():
            return f"map[{' '.join(f'{key}:{_member(value[key])}' for key in sorted(value))}]"
        case list():
            return f"[{' '.join(map(_member, value))}]"
        case bool() | int() | float():
            return f"%!s({type_name(value)}={plain_text(value)})"
    return value


def _member(value: Data) -> str:
    return "<nil>" if value is None else verb_s(value)


_KEYS: Final = (
    "annotations build.args build.additional_contexts build.platform build.tags build.labels"
    " cap_add cap_drop deploy.labels dns dns_opt dns_search environment labels links"
    " networks.*.aliases networks.*.link_local_ips profiles sysctls tmpfs"
)
_OTHERS: Final[dict[str, _Index]] = {
    "volumes": _volume,
    "devices": _device,
    "expose": _exposed,
    "secrets": _mount,
    "configs": _mount,
    "ports": _port,
    "env_file": _env_file,
}
_INDEXES: Final[list[tuple[Path, _Index]]] = [
    *((("services", "*", *each.split(".")), _key) for each in _KEYS.split()),
    *((("services", "*", key), read) for key, read in _OTHERS.items()),
    (("networks", "*", "labels"), _key),
    (("networks", "*", "ipam", "options"), _key),
]
