"""Programs of other architectures: run by an emulator that comes with the daemon.

Where binfmt_misc knows a program's format, the kernel runs it and nothing is to be done here. Else
BuildKit's own emulators are used, `buildkit-qemu-<architecture>` on PATH; they go on to emulate
what the program starts.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence

from croze.image.platform import Platform, only

MOUNT = "/dev/.buildkit_qemu_emulator"
_QEMU_NAMES = {
    "arm64": "aarch64",
    "amd64": "x86_64",
    "386": "i386",
    "mips64le": "mips64el",
    "loong64": "loongarch64",
}


def find_emulator(platform: Platform, runnable: Sequence[Platform]) -> str:
    """The path of an emulator for `platform`; empty where none is needed, or none is there."""
    if any(only(each).match(platform) for each in runnable):
        return ""
    name = _QEMU_NAMES.get(platform.architecture, platform.architecture)
    return shutil.which(f"buildkit-qemu-{name}") or ""
