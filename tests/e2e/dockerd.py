"""Debian's dockerd, one of a test's own: on a socket, with no network."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.sandbox import select_pause

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


def _narrowed_runtime(folder: Path) -> list[str | Path]:
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
def own_dockerd(folder: Path) -> Iterator[str]:
    """Its address."""
    host = f"unix://{folder}/socket"
    words: list[str | Path] = [
        "dockerd",
        "--data-root",
        folder / "root",
        "--exec-root",
        folder / "exec",
        "-H",
        host,
    ]
    words += ["--pidfile", folder / "pid", "--iptables=false", "--ip6tables=false"]
    words += _narrowed_runtime(folder)
    with open(folder / "log", "wb") as log:
        daemon = subprocess.Popen([*words, "--bridge=none"], stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 60
        while subprocess.run(["docker", "-H", host, "version"], capture_output=True).returncode:
            assert daemon.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline
            select_pause()
        yield host
    finally:
        daemon.terminate()
        daemon.wait(timeout=30)
        _unmount(folder)


def _unmount(folder: Path) -> None:
    """What dockerd leaves mounted: its data root, and the network namespace of its last container
    without a network."""
    lines = Path("/proc/self/mounts").read_text().splitlines()
    below = [line.split()[1] for line in lines if line.split()[1].startswith(f"{folder}/")]
    for mount in reversed(below):
        subprocess.run(["umount", mount], check=True)
