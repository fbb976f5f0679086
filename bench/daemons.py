"""Daemons of a bench's own, below a folder, and what they take of the machine."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_READY_S = 60


@dataclass(frozen=True)
class Daemon:
    """One that runs. `started_s` is how long it took until it answered."""

    address: str
    process: subprocess.Popen[bytes]
    started_s: float

    def memory_mb(self) -> float:
        """What the daemon and its children have for themselves (PSS, proc(5))."""
        return sum(_pss_kb(pid) for pid in _tree(self.process.pid)) / 1024

    def cpu_s(self) -> float:
        """Of the daemon, its children, and those children that have ended."""
        ticks = sum(_ticks(pid) for pid in _tree(self.process.pid))
        return ticks / os.sysconf("SC_CLK_TCK")


def crozed_command(folder: Path) -> list[str]:
    """The program that is installed beside this Python."""
    words = [str(Path(sys.executable).with_name("crozed")), "--root", f"{folder}/root"]
    return [*words, "--addr", f"unix://{folder}/daemon.sock"]


def buildkitd_command(folder: Path) -> list[str] | None:
    """The one that `CROZE_BUILDKITD` names, or the one on the PATH."""
    binary = os.environ.get("CROZE_BUILDKITD") or shutil.which("buildkitd")
    if binary is None:
        return None
    config = folder / "buildkitd.toml"
    config.write_text("")
    words = [binary, "--config", str(config), "--root", f"{folder}/root"]
    return [*words, "--addr", f"unix://{folder}/daemon.sock"]


@contextlib.contextmanager
def running(folder: Path, command: Sequence[str], env: Mapping[str, str]) -> Iterator[Daemon]:
    """Until the block ends. Raises `RuntimeError` when it does not come up."""
    address = f"unix://{folder}/daemon.sock"
    with open(folder / "log", "ab") as log:
        began = time.monotonic()
        process = subprocess.Popen([*command], stdout=log, stderr=log, env=dict(env), cwd="/")
    try:
        _wait_for(folder / "daemon.sock", process)
        yield Daemon(address, process, time.monotonic() - began)
    finally:
        process.terminate()
        process.wait()


def _wait_for(path: Path, process: subprocess.Popen[bytes]) -> None:
    """Until it sends the first bytes of HTTP/2: it serves."""
    deadline = time.monotonic() + _READY_S
    while True:
        with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(OSError):
            probe.settimeout(_READY_S)
            probe.connect(str(path))
            probe.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0")
            if probe.recv(1):
                return
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"nobody answers on {path}")
        time.sleep(0.005)


def _tree(pid: int) -> list[int]:
    """A process and all below it."""
    try:
        tasks = Path(f"/proc/{pid}/task").iterdir()
        children = [int(c) for task in tasks for c in (task / "children").read_text().split()]
    except OSError:
        return []
    return [pid, *(below for child in children for below in _tree(child))]


def _pss_kb(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")), 0)


def _ticks(pid: int) -> int:
    """User and system time, own and of children that were waited for."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except OSError:
        return 0
    return sum(map(int, fields[11:15]))
