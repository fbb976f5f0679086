"""A real `ssh-agent`."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def ssh_agent(path: Path) -> Iterator[Path]:
    """One that listens at `path`, and has no keys."""
    with subprocess.Popen(
        ["ssh-agent", "-D", "-a", path], stdout=subprocess.PIPE, text=True
    ) as agent:
        try:
            assert agent.stdout is not None
            agent.stdout.readline()  # it listens by then
            yield path
        finally:
            agent.terminate()
