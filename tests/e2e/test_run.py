"""`croze run`: streams, exit codes, signals."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
from pathlib import Path

import pytest

from tests.e2e.app import base
from tests.e2e.sandbox import CROZE, Sandbox


@pytest.fixture
def image(sandbox: Sandbox, busybox: Path) -> str:
    context = sandbox.context("image", {"Dockerfile": 'FROM base\nCMD ["echo", "default"]\n'})
    sandbox.croze("build", *base(busybox), "-t", "image", context)
    return "image"


def test_streams_and_exit_codes(sandbox: Sandbox, image: str) -> None:
    assert sandbox.croze("run", image).stdout == "default\n"
    assert sandbox.croze("run", "-i", image, "cat", stdin=b"piped").stdout == "piped"
    assert "OTEL_" not in sandbox.croze("run", image, "env").stdout
    assert sandbox.croze("run", image, "cat", stdin=b"not for it").stdout == ""
    split = sandbox.croze("run", image, "sh", "-c", "echo out; echo err >&2; exit 9", check=False)
    assert (split.code, split.stdout, split.stderr) == (9, "out\n", "err\n")
    missing = sandbox.croze("run", image, "/no/such/command", check=False)
    assert missing.code == 127
    assert missing.stderr.count("/no/such/command") == 1
    assert sandbox.croze("run", image, "/etc", check=False).code == 126


def test_a_signal_reaches_the_container(sandbox: Sandbox, image: str) -> None:
    script = "trap 'echo asked; exit 9' TERM; echo up; while :; do sleep 0.05; done"
    words = [str(CROZE), "run", image, "sh", "-c", script]
    with subprocess.Popen(words, env=sandbox.env, stdout=subprocess.PIPE, text=True) as client:
        assert client.stdout is not None
        assert client.stdout.readline() == "up\n"
        client.send_signal(signal.SIGTERM)
        assert client.stdout.read() == "asked\n"
    assert client.returncode == 9


def test_a_terminal(sandbox: Sandbox, image: str) -> None:
    ours, theirs = pty.openpty()
    script = "test -t 0 && echo ready && read a && echo got $a"
    words = [str(CROZE), "run", "-it", image, "sh", "-c", script]
    with subprocess.Popen(words, env=sandbox.env, stdin=theirs, stdout=theirs, stderr=theirs):
        os.close(theirs)
        # Setting the terminal up throws away what was typed before.
        said = ""
        while "ready" not in said:
            said += os.read(ours, 4096).decode()
        os.write(ours, b"typed\r")
        said += _read_all(ours)
    assert "ready" in said
    assert "got typed" in said


def _read_all(terminal: int) -> str:
    """Until the other side has closed it."""
    found = b""
    while True:
        try:
            found += os.read(terminal, 4096)
        except OSError:
            os.close(terminal)
            return found.decode()
