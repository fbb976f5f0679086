"""CDI's container edits, made to an OCI runtime configuration.

Source: the Container Device Interface specification, SPEC.md, "OCI Edits"; OCI runtime-spec,
config-linux.md, "Devices".
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from typing import Any

from croze.errors import CrozeError, InvalidRequest, Unavailable, os_reason
from croze.runtime.contract import ContainerEdits, DeviceNode, Hook

Json = dict[str, Any]

_KINDS = {stat.S_IFCHR: "c", stat.S_IFBLK: "b", stat.S_IFIFO: "p"}
HOOKS = frozenset(
    ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
)


def apply(config: Json, edits: Iterable[ContainerEdits]) -> None:
    """Change `config` in place. Raises `CrozeError` for what this host does not have."""
    for one in edits:
        _env(config["process"], one.env)
        for node in one.device_nodes:
            _device(config, node)
        config["mounts"] += [
            {
                "destination": mount.container_path,
                "source": mount.host_path,
                "type": mount.type or "bind",
                "options": mount.options or ["rbind", "ro"],
            }
            for mount in one.mounts
        ]
        for hook in one.hooks:
            _hook(config, hook)
        groups = config["process"]["user"].setdefault("additionalGids", [])
        groups += [gid for gid in one.additional_gids if gid and gid not in groups]


def _env(process: Json, added: Iterable[str]) -> None:
    for pair in added:
        name = pair.partition("=")[0]
        others = [p for p in process["env"] if p.partition("=")[0] != name]
        process["env"] = [*others, pair]


def _device(config: Json, node: DeviceNode) -> None:
    kind, major, minor = _numbers(node)
    user = config["process"]["user"]
    members: Json = {"path": node.path, "type": kind, "major": major, "minor": minor}
    if node.file_mode is not None:
        members["fileMode"] = node.file_mode
    for name, owner_id in (("uid", node.uid), ("gid", node.gid)):
        owner = user[name] if owner_id is None else owner_id
        if owner:
            members[name] = owner
    linux = config["linux"]
    others = [d for d in linux.get("devices", ()) if d["path"] != node.path]
    linux["devices"] = [*others, members]
    if kind in ("c", "b"):
        access = node.permissions or "rwm"
        rule = {"allow": True, "type": kind, "major": major, "minor": minor, "access": access}
        linux["resources"]["devices"].append(rule)


def _numbers(node: DeviceNode) -> tuple[str, int, int]:
    if node.type and (node.major or node.type == "p"):
        return node.type, node.major, node.minor
    path = node.host_path or node.path
    try:
        info = os.stat(path)
    except OSError as error:
        reason = os_reason(error)
        raise Unavailable(f"CDI device {node.path}: failed to stat {path}: {reason}") from None
    kind = _KINDS.get(stat.S_IFMT(info.st_mode), "")
    if not kind or (node.type and node.type != kind):
        raise CrozeError(f"CDI device {node.path}: {path} is no device of type {node.type or 'c'}")
    if kind == "p":
        return kind, 0, 0
    return kind, os.major(info.st_rdev), os.minor(info.st_rdev)


def _hook(config: Json, hook: Hook) -> None:
    if hook.hook_name not in HOOKS:
        raise InvalidRequest(f'CDI: invalid hook name "{hook.hook_name}"')
    members: Json = {"path": hook.path}
    optional = {"args": hook.args, "env": hook.env, "timeout": hook.timeout}
    members |= {name: value for name, value in optional.items() if value}
    config.setdefault("hooks", {}).setdefault(hook.hook_name, []).append(members)
