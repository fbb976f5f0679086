"""What a container gets with a device, as CDI's spec files say it: values alone.

Source: the Container Device Interface specification, SPEC.md, "CDI JSON Specification".
"""

from __future__ import annotations

import msgspec


class DeviceNode(msgspec.Struct, frozen=True, rename="camel"):
    """A device file. What is not said is taken from the host's file."""

    path: str
    host_path: str = ""
    type: str = ""
    major: int = 0
    minor: int = 0
    file_mode: int | None = None
    permissions: str = ""
    uid: int | None = None
    gid: int | None = None


class MountEdit(msgspec.Struct, frozen=True, rename="camel"):
    """A mount that a container gets."""

    host_path: str
    container_path: str
    options: list[str] = []
    type: str = ""


class Hook(msgspec.Struct, frozen=True, rename="camel"):
    """A program that the runtime runs at some point of a container's life (OCI runtime-spec)."""

    hook_name: str
    path: str
    args: list[str] = []
    env: list[str] = []
    timeout: int | None = None


class ContainerEdits(msgspec.Struct, frozen=True, rename="camel"):
    """What changes in a container's configuration."""

    env: list[str] = []
    device_nodes: list[DeviceNode] = []
    mounts: list[MountEdit] = []
    hooks: list[Hook] = []
    additional_gids: list[int] = msgspec.field(default_factory=list, name="additionalGids")
