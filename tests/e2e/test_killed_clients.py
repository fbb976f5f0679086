"""Clients that are killed leave nothing for good."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.e2e.app import base
from tests.e2e.sandbox import CROZE, Sandbox
from tests.support.processes import NAP_S, sleepers
from tests.support.waiting import PATIENCE_S, eventually

QUICK = b"FROM base\nRUN true\n"


def left(folder: Path) -> Sequence[str]:
    """What kinds of temporary directories are there."""
    return sorted(path.name.split("-")[1] for path in folder.iterdir())


def test_temporary_directories_go_with_the_next_command(
    desk: Sandbox, busybox: Path, tmp_path: Path
) -> None:
    """Of a client that is killed, by the next one of that kind and by the next daemon; while it
    lives nobody takes them from it."""
    programs, temporary = tmp_path / "bin", tmp_path / "tmp"
    for folder in (programs, temporary):
        folder.mkdir()
    ssh = programs / "ssh"
    ssh.write_text(f"#!/bin/sh\nexec {CROZE} --builder {desk.address} dial-stdio\n")
    ssh.chmod(0o755)
    path = f"{programs}:{os.environ['PATH']}"
    env = {**desk.env, "TMPDIR": str(temporary), "PATH": path}
    context = desk.context("empty", {})
    words = ["build", "--progress=plain", "-f", "-", *base(busybox), str(context)]
    dockerfile = tmp_path / "Dockerfile"
    dockerfile.write_text(f"FROM base\nRUN echo up; sleep {NAP_S}\n")
    log = tmp_path / "client.log"
    with open(log, "wb") as output, open(dockerfile, "rb") as stdin:
        command = [str(CROZE), "--builder", "ssh://far", *words]
        client = subprocess.Popen(command, env=env, stdin=stdin, stdout=output, stderr=output)
    eventually(sleepers, log.read_text, process=client)
    desk.croze(*words, stdin=QUICK, env=env)
    assert left(temporary) == ["dial", "dockerfile"], "they are in use"
    client.send_signal(signal.SIGKILL)
    client.wait(PATIENCE_S)
    eventually(lambda: not sleepers())
    assert left(temporary) == ["dial", "dockerfile"]
    desk.croze(*words, stdin=QUICK, env=env)
    assert left(temporary) == []
