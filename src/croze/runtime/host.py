"""What this machine can do: cgroups, capabilities, limits. Read once, at start."""

from __future__ import annotations

import logging
import os
import platform
import resource
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from msgspec import Struct, field

from croze.errors import CrozeError
from croze.fs.mount import MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_RDONLY, raw_mount, unmount

log = logging.getLogger(__name__)

CGROUP_ROOT = Path("/sys/fs/cgroup")
CapSet = frozenset[str]

# include/uapi/linux/capability.h, by number.
_NAMES = (
    "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE "
    "NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO "
    "SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME "
    "SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG "
    "WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE"
)
CAPABILITIES = tuple("CAP_" + name for name in _NAMES.split())

GO_ARCH = {
    "x86_64": "amd64",
    "aarch64": "arm64",
    "armv7l": "arm",
    "i686": "386",
    "ppc64le": "ppc64le",
    "s390x": "s390x",
    "riscv64": "riscv64",
    "loongarch64": "loong64",
}


class Host(Struct, frozen=True):
    """What this machine and this process can do, as far as a container's configuration depends on
    it."""

    cgroup: Literal["v1", "v2", "none"] = "v2"
    capabilities: CapSet = frozenset()
    """What a container can be given at most, `CAP_...`."""
    arch: str = "amd64"
    kernel: str = "6.1"
    seccomp: bool = True
    hard_limits: Mapping[str, int] = field(default_factory=dict)
    """Our own hard rlimits by name (`NOFILE`); -1 is none."""
    free_loop: int = 0
    """The number of the next free loop device."""

    def may_raise_limits(self) -> bool:
        return "CAP_SYS_RESOURCE" in self.capabilities


def _status_field(name: str) -> str:
    for line in Path("/proc/self/status").read_text("ascii").splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return value.strip()
    return ""


def _current_capabilities() -> CapSet:
    mask = int(_status_field("CapEff") or "0", 16)
    return frozenset(name for i, name in enumerate(CAPABILITIES) if mask >> i & 1)


def cgroup_mode(root: Path = CGROUP_ROOT) -> Literal["v1", "v2", "none"]:
    """`v1` also for the hybrid layout, whose controllers are v1's."""
    if (root / "cgroup.controllers").exists():
        return "v2"
    return "v1" if root.is_dir() and any(root.iterdir()) else "none"


def _hard_limits() -> dict[str, int]:
    names = [
        name for name in dir(resource) if name.startswith("RLIMIT_") and name != "RLIMIT_OFILE"
    ]
    return {
        name.removeprefix("RLIMIT_"): resource.getrlimit(getattr(resource, name))[1]
        for name in names
    }


def _free_loop() -> int:
    loops = {p.name for p in Path("/sys/block").glob("loop[0-9]*") if (p / "loop").is_dir()}
    return next(i for i in range(len(loops) + 1) if f"loop{i}" not in loops)


def detect() -> Host:
    """Look at this machine and process."""
    machine = platform.machine()
    return Host(
        cgroup=cgroup_mode(),
        capabilities=_current_capabilities(),
        arch=GO_ARCH.get(machine, machine),
        kernel=platform.release(),
        seccomp=bool(_status_field("Seccomp")),
        hard_limits=_hard_limits(),
        free_loop=_free_loop(),
    )


def hide_hybrid_cgroup(root: Path = CGROUP_ROOT) -> bool:
    """Take `unified` out of a hybrid cgroup tree. Only for a process with a mount namespace of its
    own: nobody else sees it.

    crun refuses the hybrid layout as soon as the v2 side has a controller, though it never uses it
    there; without that mount it sees plain v1. Returns whether something was done.
    """
    unified = root / "unified"
    if cgroup_mode(root) != "v1" or not os.path.ismount(unified):
        return False
    try:
        _hide(unified)
    except CrozeError as error:
        log.debug("can't hide %s: %s", unified, error)
        return False
    return True


def _hide(mount_point: Path) -> None:
    try:
        unmount(mount_point)
    except CrozeError:
        pass
    if os.path.ismount(mount_point):
        # What a user namespace took over from the machine can't be unmounted, only covered.
        raw_mount("tmpfs", mount_point, "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC)
