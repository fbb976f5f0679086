"""Debian's dockerd, one of a test's own: on a socket, with no network."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.sandbox import select_pause


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
