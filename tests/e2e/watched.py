"""Processes that are watched while they run."""

from __future__ import annotations

import subprocess
from pathlib import Path


def until(client: subprocess.Popen[bytes], line_end: bytes) -> None:
    """Read what the client says up to a line that ends so."""
    assert client.stderr is not None
    for line in client.stderr:
        if line.endswith(line_end):
            return
    raise AssertionError("the build ended")


def resident_kb(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])
