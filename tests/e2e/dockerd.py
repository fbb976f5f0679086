"""Debian's dockerd and podman, one of a test's own: on a socket, with no network."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.sandbox import REPO
from tests.support.waiting import PATIENCE_S, eventually

CONTAINERD_STORE = REPO / ".cache/peers/trixie/root/usr/sbin/dockerd"
"""A dockerd that can keep its images in containerd's store: before version 23 none can."""

NARROWED = """\
#!/bin/sh
# runc, for a machine whose root lacks some capability that "privileged" means.
for word; do
  case $previous in
    --bundle) sed -i 's/"\\({missing}\\)",//g' "$word/config.json" ;;
    --process) sed -i 's/"\\({missing}\\)",//g' "$word" ;;
  esac
  previous=$word
done
exec {runc} "$@"
"""
CAPABILITIES = {24: "CAP_SYS_RESOURCE", 25: "CAP_SYS_TIME", 39: "CAP_BPF", 38: "CAP_PERFMON"}
"""Those that sandboxes are known to take away, by number (capabilities(7))."""


def missing_capabilities() -> list[str]:
    status = Path("/proc/self/status").read_text()
    bound = int(status.partition("CapBnd:")[2].split()[0], 16)
    return [name for number, name in CAPABILITIES.items() if not bound >> number & 1]


def narrowed_runtime(folder: Path) -> list[str | Path]:
    """dockerd's flags for a runtime that gives privileged containers what there is."""
    missing = missing_capabilities()
    if not missing:
        return []
    script = folder / "narrowed-runc"
    pattern = "\\|".join(missing)
    script.write_text(NARROWED.format(missing=pattern, runc=shutil.which("runc")))
    script.chmod(0o755)
    return ["--add-runtime", f"narrowed={script}", "--default-runtime", "narrowed"]


@contextmanager
def own_dockerd(folder: Path, *, containerd_store: bool = False) -> Iterator[str]:
    """Its address."""
    host = f"unix://{folder}/socket"
    config = folder / "daemon.json"
    config.write_text(json.dumps({"features": {"containerd-snapshotter": containerd_store}}))
    words: list[str | Path] = [CONTAINERD_STORE if containerd_store else "dockerd", "-H", host]
    words += ["--config-file", config, "--pidfile", folder / "pid"]
    words += ["--data-root", folder / "root", "--exec-root", folder / "exec"]
    words += ["--iptables=false", "--ip6tables=false", "--bridge=none"]
    with _serving([*words, *narrowed_runtime(folder)], host, folder):
        yield host


PODMAN = ("podman", "--cgroup-manager=cgroupfs", "--events-backend=none")


@contextmanager
def own_podman(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Its address, and the words before its own commands."""
    host = f"unix://{folder}/socket"
    command = [*PODMAN, f"--root={folder}/root", f"--runroot={folder}/run"]
    with _serving([*command, "system", "service", "--time=0", host], host, folder):
        yield host, command


@contextmanager
def _serving(command: Sequence[str | Path], host: str, folder: Path) -> Iterator[None]:
    """With a daemon that answers `docker version`."""
    with open(folder / "log", "wb") as log:
        daemon = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        look = ["docker", "-H", host, "version"]
        eventually(
            lambda: not subprocess.run(look, capture_output=True).returncode,
            (folder / "log").read_text,
            process=daemon,
        )
        yield
    finally:
        daemon.terminate()
        daemon.wait(PATIENCE_S)
        _unmount(folder)


def _unmount(folder: Path) -> None:
    """What dockerd leaves mounted: its data root, and the network namespace of its last container
    without a network."""
    lines = Path("/proc/self/mounts").read_text().splitlines()
    below = [line.split()[1] for line in lines if line.split()[1].startswith(f"{folder}/")]
    for mount in reversed(below):
        subprocess.run(["umount", mount], check=True)
