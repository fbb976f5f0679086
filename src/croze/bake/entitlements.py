"""What a definition wants that it has not been granted: privileges, devices, files, agents.

A definition may come from somebody else. What it asks for beyond the working directory and ordinary
builds, whoever runs it must allow.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence

from msgspec import Struct, field

from croze.bake.errors import BakeError
from croze.bake.options.fields import fields
from croze.bake.overrides import GrantedPrivileges
from croze.bake.paths import is_remote
from croze.bake.requests import BuildRequest
from croze.gotypes.quote import quote

_DELETE = "buildx.local.delete"
_MODES = ("", "copy", "delete")
_BUILDABLE = ("target:", "docker-image:")


class Privileges(Struct):
    """What a build may do beyond the ordinary: granted, or wanted."""

    network_host: bool = False
    security_insecure: bool = False
    all_devices: bool = False
    devices: list[str] = field(default_factory=list)
    read: list[str] = field(default_factory=list)
    write: list[str] = field(default_factory=list)
    ssh: bool = False
    delete: bool = False

    def grant(self, granted: GrantedPrivileges) -> None:
        self.network_host |= granted.network_host
        self.security_insecure |= granted.security_insecure
        self.read += granted.read
        self.write += granted.write


def parse_allow(texts: Iterable[str]) -> Privileges:
    """The privileges that `--allow` flags grant."""
    allowed = Privileges()
    for text in texts:
        key, equals, value = text.partition("=")
        if text == "network.host":
            allowed.network_host = True
        elif text == "security.insecure":
            allowed.security_insecure = True
        elif text == "ssh":
            allowed.ssh = True
        elif text == _DELETE:
            allowed.delete = True
        elif key == "device":
            _allow_device(allowed, value)
        elif key in ("fs", "fs.read", "fs.write"):
            if key != "fs.write":
                allowed.read.append(value)
            if key != "fs.read":
                allowed.write.append(value)
        elif key == _DELETE and equals:
            raise BakeError(f"{_DELETE} does not accept a value")
        elif key not in ("image", "image.push", "image.load"):
            raise BakeError(f"unknown entitlement key {quote(key)}")
    return allowed


def _allow_device(allowed: Privileges, value: str) -> None:
    if not value:
        allowed.all_devices = True
        allowed.devices = []
        return
    allowed.devices.append(_device(value))


def _device(value: str) -> str:
    try:
        return fields(value)[0]
    except BakeError as error:
        raise error.wrap(f"failed to parse device entitlement {quote(value)}") from None


def missing(
    allowed: Privileges, requests: Mapping[str, BuildRequest], existing: Callable[[str], str]
) -> Privileges:
    """What the requests want beyond what is allowed.

    `existing` resolves a path as far as it exists: its links followed, the rest left off.
    """
    privileges = Privileges()
    read: dict[str, None] = {}
    write: dict[str, None] = {}
    for request in requests.values():
        for entitlement in request.entitlements:
            _want(privileges, allowed, entitlement)
        read.update(dict.fromkeys(_local_paths(request)))
        read.update(dict.fromkeys(each.src for each in request.secrets if each.src))
        read.update(dict.fromkeys(path for each in request.ssh for path in each.paths))
        read.update(dict.fromkeys(_cache_paths(request, "src")))
        write.update(dict.fromkeys(_cache_paths(request, "dest")))
        write.update(dict.fromkeys(_output_paths(request)))
        privileges.ssh |= not allowed.ssh and any(not each.paths for each in request.ssh)
        privileges.delete |= not allowed.delete and _deletes(request)
    privileges.read = _outside(allowed.read, read, existing)
    privileges.write = _outside(allowed.write, write, existing)
    return privileges


def _want(privileges: Privileges, allowed: Privileges, entitlement: str) -> None:
    key, _, value = entitlement.partition("=")
    if key == "device" and not value:
        privileges.all_devices |= not allowed.all_devices
    elif key == "device":
        # As in the original, a device that was allowed by name is asked for again.
        device = _device(value)
        if device not in privileges.devices and not _allows(allowed, device):
            privileges.devices.append(device)
    elif entitlement == "network.host":
        privileges.network_host |= not allowed.network_host
    elif entitlement == "security.insecure":
        privileges.security_insecure |= not allowed.security_insecure


def _allows(allowed: Privileges, device: str) -> bool:
    return allowed.all_devices or device in allowed.devices


def _local_paths(request: BuildRequest) -> list[str]:
    paths = [request.context, *request.contexts.values()]
    if not request.context_of or os.path.isabs(request.dockerfile):
        paths.insert(1, request.dockerfile)  # of this machine, maybe beside files from elsewhere
    return [path for path in paths if _is_local(path)]


def _is_local(path: str) -> bool:
    return not is_remote(path) and not path.startswith(_BUILDABLE)


def _cache_paths(request: BuildRequest, key: str) -> list[str]:
    caches = request.cache_from if key == "src" else request.cache_to
    return [each.attrs[key] for each in caches if each.type == "local" and key in each.attrs]


def _output_paths(request: BuildRequest) -> list[str]:
    local = ("local", "tar", "oci", "docker")
    return [o.dest for o in request.outputs if o.type in local and o.dest and o.dest != "-"]


def _deletes(request: BuildRequest) -> bool:
    for output in request.outputs:
        mode = output.attrs.get("mode", "").strip().lower()
        if output.type == "local" and mode not in _MODES:
            raise BakeError(f"invalid local exporter mode {quote(output.attrs['mode'])}")
        if output.type == "local" and mode == "delete":
            return True
    return False


def _outside(
    allowed: Sequence[str], paths: Iterable[str], existing: Callable[[str], str]
) -> list[str]:
    """The paths that are below none of those allowed."""
    if "*" in allowed:
        return []
    roots = [_real(each, existing) for each in allowed]
    resolved = sorted({os.path.normpath(existing(each)) for each in paths}, key=len)
    tops: list[str] = []
    for path in resolved:
        if not any(path.startswith(f"{parent}/") for parent in tops):
            tops.append(path)
    return sorted(path for path in tops if not any(_is_within(path, root) for root in roots))


def _real(path: str, existing: Callable[[str], str]) -> str:
    """The path with its links followed, as far as there are any, and the rest as it is."""
    full = os.path.abspath(path)
    real = existing(full)
    if real == full or os.path.lexists(full):
        return real
    depth = 0
    head = full
    while not os.path.lexists(head):
        head = os.path.dirname(head)
        depth += 1
    return os.path.join(real, *full.split("/")[-depth:])


def _is_within(path: str, root: str) -> bool:
    return path == root or root == "/" or path.startswith(root.rstrip("/") + "/")


class Question(Struct, frozen=True):
    """What to ask for: a line each, and the flags that grant it. Files count only if checked."""

    lines: tuple[str, ...]
    flags: tuple[str, ...]
    file_lines: tuple[str, ...]
    file_flags: tuple[str, ...]

    @property
    def is_empty(self) -> bool:
        return not self.lines and not self.file_lines

    @property
    def all_flags(self) -> str:
        return " ".join(f"--allow={each}" for each in (*self.flags, *self.file_flags))


def question(privileges: Privileges, directory: str) -> Question:
    """The wanted privileges in words."""
    lines: list[tuple[str, str]] = []
    if privileges.network_host:
        lines.append(("Running build containers that can access host network", "network.host"))
    if privileges.security_insecure:
        text = "Running privileged containers that can make system changes"
        lines.append((text, "security.insecure"))
    if privileges.all_devices:
        lines.append(("Access to CDI devices", "device"))
    else:
        lines += [(f"Access to device {each}", f"device={each}") for each in privileges.devices]
    if privileges.delete:
        lines.append(("Deleting stale files from local output destinations", _DELETE))
    files = [("Forwarding default SSH agent socket", "ssh")] if privileges.ssh else []
    both = set(privileges.read) & set(privileges.write)
    for kind, key, paths in (
        ("Read and write access", "fs", sorted(both)),
        ("Read access", "fs.read", [each for each in privileges.read if each not in both]),
        ("Write access", "fs.write", [each for each in privileges.write if each not in both]),
    ):
        shown = [_relative(each, directory) for each in paths]
        files += [(f"{kind} to path {each}", f"{key}={each}") for each in shown]
    return Question(
        tuple(f" - {text}" for text, _ in lines),
        tuple(flag for _, flag in lines),
        tuple(f" - {text}" for text, _ in files),
        tuple(flag for _, flag in files),
    )


def _relative(path: str, directory: str) -> str:
    relative = os.path.relpath(path, directory)
    return path if relative.startswith("../..") else relative
