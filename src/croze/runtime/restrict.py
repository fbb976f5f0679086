"""Changes to a container's `config.json` that follow from what the daemon itself may do.

Source: BuildKit docs/rootless.md: what is left out, and why.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from croze.errors import Unsupported
from croze.runtime.oci_spec import Json

APPARMOR = Path("/sys/module/apparmor/parameters/enabled")


def rootless(config: Json) -> Json:
    """The configuration for a daemon that has no cgroups to give and, in the host's network, can't
    mount /sys."""
    mounts = [m for m in config["mounts"] if not _below(m["destination"], "/sys")]
    dropped = ("cgroupsPath", "resources")
    linux = {key: value for key, value in config["linux"].items() if key not in dropped}
    if "devices" in linux:
        # They can't be made, only bound from the host.
        linux["devices"] = [d for d in linux["devices"] if os.path.exists(d["path"])]
    return {**config, "mounts": mounts, "linux": linux}


def without_process_sandbox(config: Json) -> Json:
    """The configuration with the process ids and the /proc of the daemon, for one that may not
    mount a /proc."""
    proc = {"destination": "/proc", "type": "bind", "source": "/proc", "options": ["rbind"]}
    linux = config["linux"]
    changed = {
        "namespaces": [n for n in linux["namespaces"] if n["type"] != "pid"],
        "maskedPaths": _outside(linux["maskedPaths"], "/proc"),
        "readonlyPaths": _outside(linux["readonlyPaths"], "/proc"),
    }
    mounts = [m for m in config["mounts"] if not _below(m["destination"], "/proc")]
    return {**config, "mounts": [proc, *mounts], "linux": {**linux, **changed}}


def apparmor(config: Json, profile: str, enabled: Path = APPARMOR) -> Json:
    """The configuration confined by an AppArmor profile. Raises `Unsupported` where there is no
    AppArmor."""
    if not enabled.exists() or enabled.read_text("ascii").strip() != "Y":
        raise Unsupported(
            f"AppArmor is not supported on this host, but the profile '{profile}' was specified"
        )
    return {**config, "process": {**config["process"], "apparmorProfile": profile}}


def _below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")


def _outside(paths: Iterable[str], folder: str) -> list[str]:
    return [path for path in paths if not _below(path, folder)]
