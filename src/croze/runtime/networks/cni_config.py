"""Network configurations for CNI plugins: read from a file, or the built-in bridge.

Source: the Container Network Interface specification, SPEC.md 1.0.0, "Network configuration
format". The bridge is what BuildKit's `util/network/cniprovider` has.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from croze.errors import InvalidRequest, Unavailable
from croze.gotypes.quote import quote

Json = dict[str, Any]

DEFAULT_PLUGINS = "/opt/cni/bin"
DEBIAN_PLUGINS = "/usr/lib/cni"
DEFAULT_BRIDGE, DEFAULT_SUBNET = "buildkit0", "10.10.0.0/16"
_LEAST_ADDRESSES = 4
_LONGEST_NAME_BYTES = 15  # IFNAMSIZ, less the NUL
BUNDLED = "buildkit-cni-"
"""The prefix of plugins that come with BuildKit, found on PATH."""


class NetworkConfig(Struct, frozen=True):
    """A list of plugins, in the order in which they add a container."""

    name: str
    cni_version: str
    plugins: tuple[Json, ...]
    folders: tuple[str, ...]
    """Where the plugins' executables are."""

    def for_plugin(self, plugin: Json, previous: Json | None) -> Json:
        """What a plugin reads on standard input."""
        config = {**plugin, "name": self.name, "cniVersion": self.cni_version}
        return config if previous is None else {**config, "prevResult": previous}

    def executable(self, plugin: Json) -> str:
        """The path of a plugin's program. Raises `Unavailable` if there is none."""
        kind = str(plugin.get("type", ""))
        path = shutil.which(kind, path=":".join(self.folders))
        if path is None:
            where = ", ".join(self.folders)
            raise Unavailable(f'failed to find plugin "{kind}" in path [{where}]')
        return path


def read_config(path: Path, folders: Iterable[str]) -> NetworkConfig:
    """Read a `.config`, or a `.conf` or `.json` with one plugin. Raises `InvalidRequest` that
    names the file."""
    try:
        read = json.loads(path.read_bytes())
    except OSError as error:
        raise InvalidRequest(f"failed to load CNI config {path}: {error.strerror}") from error
    except ValueError as error:
        raise InvalidRequest(f"failed to load CNI config {path}: {error}") from error
    plugins = read.get("plugins", [read]) if isinstance(read, dict) else None
    if not isinstance(plugins, list) or not all(isinstance(p, dict) for p in plugins):
        raise InvalidRequest(f"failed to load CNI config {path}: no plugins")
    if not plugins or not all(p.get("type") for p in plugins):
        raise InvalidRequest(f"failed to load CNI config {path}: a plugin has no type")
    if not read.get("name"):
        raise InvalidRequest(f"failed to load CNI config {path}: the network has no name")
    return NetworkConfig(
        str(read["name"]), str(read.get("cniVersion", "0.1.0")), tuple(plugins), tuple(folders)
    )


def gateway_of(subnet: str) -> str:
    """The bridge's own address in a subnet, empty for the usual one. Raises `InvalidRequest` of a
    text that is none, or one without room for containers."""
    from ipaddress import ip_network  # slow to import

    text = subnet or DEFAULT_SUBNET
    try:
        network = ip_network(text, strict=False) if "/" in text else None
    except ValueError:
        network = None
    if network is None or network.num_addresses < _LEAST_ADDRESSES:
        raise InvalidRequest(f"invalid bridgeSubnet: invalid CIDR address: {text}")
    return str(network[1])


def bridge_config(
    bridge: str, subnet: str, folder: str, environ: Mapping[str, str]
) -> NetworkConfig:
    """Containers on a bridge of their own; what they send to others leaves in the host's name.
    `folder` is where plugins are looked for, empty for the usual places. Raises `Unavailable`, and
    `InvalidRequest` of names and subnets that no bridge can have."""
    gateway_of(subnet)
    if len(bridge.encode()) > _LONGEST_NAME_BYTES or "/" in bridge:
        raise InvalidRequest(f"invalid bridgeName: {quote(bridge)} is no name of an interface")
    names, folders = _bridge_plugins(folder, environ.get("PATH", ""))
    # firewalld does not work in a user namespace.
    backend = "iptables" if environ.get("ROOTLESSKIT_STATE_DIR") else ""
    ranges = [[{"subnet": subnet or DEFAULT_SUBNET}]]
    plugins: tuple[Json, ...] = (
        {"type": names["loopback"]},
        {
            "type": names["bridge"],
            "bridge": bridge or DEFAULT_BRIDGE,
            "isDefaultGateway": True,
            "ipMasq": True,
            "ipam": {"type": names["host-local"], "ranges": ranges},
        },
        {"type": names["firewall"], "backend": backend, "ingressPolicy": "same-bridge"},
    )
    return NetworkConfig("buildkit", "1.0.0", plugins, folders)


def _bridge_plugins(folder: str, path: str) -> tuple[Mapping[str, str], tuple[str, ...]]:
    """The executables' names and folders."""
    kinds = ("loopback", "bridge", "host-local", "firewall")
    bundled = {name: shutil.which(BUNDLED + name, path=path) for name in kinds}
    files = [file for file in bundled.values() if file is not None]
    if len(files) == len(kinds):
        folders = dict.fromkeys(str(Path(file).parent) for file in files)
        return {name: BUNDLED + name for name in kinds}, tuple(folders)
    for place in (folder,) if folder else (DEFAULT_PLUGINS, DEBIAN_PLUGINS):
        if (Path(place) / "bridge").exists():
            return {name: name for name in kinds}, (place,)
    where = Path(folder or DEFAULT_PLUGINS) / "bridge"
    raise Unavailable(f'failed to find CNI bridge "{where}" or {BUNDLED}bridge')
