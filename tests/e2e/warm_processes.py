"""Warm processes of a sandbox."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import pytest

from tests.e2e.sandbox import CROZE, Sandbox
from tests.support.waiting import eventually

WARM = {"CROZE_NO_WARM": "0"}
Start: TypeAlias = Sequence[str]
"""How a command line begins."""


@pytest.fixture(params=["quick", "thin"])
def start(request: pytest.FixtureRequest) -> Start:
    """As scripts/quick_start.py leaves `croze` (in bash, if there is one), and in Python alone."""
    quick: bool = request.param == "quick"
    return [str(CROZE)] if quick else [sys.executable, "-SI", str(CROZE)]


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
