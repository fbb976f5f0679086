"""Warm processes of a sandbox."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.sandbox import Sandbox
from tests.support.waiting import eventually

WARM = {"CROZE_NO_WARM": "0"}


def warm_sockets(sandbox: Sandbox) -> list[Path]:
    return list(sandbox.runtime.glob("warm-*.sock"))


def answers(sandbox: Sandbox) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return any(probe.connect_ex(str(path)) == 0 for path in warm_sockets(sandbox))


@pytest.fixture
def warm(sandbox: Sandbox) -> Iterator[subprocess.Popen[bytes]]:
    """A warm process that answers."""
    command = [sys.executable, "-m", "croze.cli.warm.process"]
    with subprocess.Popen(command, env=sandbox.env, cwd="/") as process:
        eventually(lambda: answers(sandbox), process=process)
        yield process
        process.terminate()
