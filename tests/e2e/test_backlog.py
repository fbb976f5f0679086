"""Clients that read slowly: what is said waits where it was said, not in the daemon's memory."""

from __future__ import annotations

import os
import subprocess
import time  # nothing tells that somebody is stuck
from pathlib import Path

from tests.e2e.app import base
from tests.e2e.sandbox import CROZE, Sandbox
from tests.e2e.watched import resident_kb
from tests.support.waiting import pause

MUCH = 64 << 20
ROOM_KB = 24 << 10
"""How much the daemon may grow: gRPC's buffers, ours, and what Python keeps."""


def wait_until_stuck(sandbox: Sandbox) -> None:
    """Until the daemon has read nothing for a while."""
    assert sandbox.daemon is not None
    io = Path(f"/proc/{sandbox.daemon.pid}/io")
    before, since = "", time.monotonic()
    while time.monotonic() < since + 0.5:
        now = io.read_text().splitlines()[0]
        if now != before and int(now.split()[1]) - int((before or "0 0").split()[1]) > 4096:
            before, since = now, time.monotonic()
        pause()


def test_a_client_of_run_that_does_not_read(sandbox: Sandbox, busybox: Path) -> None:
    context = sandbox.context("app", {"Dockerfile": "FROM base\n"})
    sandbox.croze("build", *base(busybox), "-t", "app", context)
    sandbox.croze("run", "app", "true")
    assert sandbox.daemon is not None
    before = resident_kb(sandbox.daemon.pid)
    script = f"head -c {MUCH} /dev/zero; echo end >&2"
    with subprocess.Popen(
        [CROZE, "run", "app", "sh", "-c", script],
        env=sandbox.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as client:
        assert client.stdout is not None
        assert client.stderr is not None
        assert os.read(client.stdout.fileno(), 1) == b"\0"
        wait_until_stuck(sandbox)
        assert client.poll() is None
        grown = resident_kb(sandbox.daemon.pid) - before
        assert grown < ROOM_KB, f"the daemon grew by {grown} kB"
        size = 1
        while data := os.read(client.stdout.fileno(), 1 << 20):
            size += len(data)
        assert client.stderr.read() == b"end\n"
        assert client.wait() == 0
    assert size == MUCH


def test_a_watcher_that_does_not_read(sandbox: Sandbox, busybox: Path) -> None:
    """Its build goes on; the daemon holds what steps have said once, whoever watches; and when the
    watcher reads at last, no vertex is missing."""
    steps = "".join(f"RUN echo {n}; head -c 1900000 /dev/zero | tr '\\0' x\n" for n in range(8))
    context = sandbox.context("chatty", {"Dockerfile": f"FROM base\n{steps}"})
    warm = sandbox.context("warm", {"Dockerfile": "FROM base\nRUN true\n"})
    sandbox.croze("build", *base(busybox), warm)
    assert sandbox.daemon is not None
    before = resident_kb(sandbox.daemon.pid)
    with subprocess.Popen(
        [CROZE, "build", *base(busybox), "--progress=rawjson", context],
        env=sandbox.env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as client:
        assert client.stderr is not None
        wait_until_stuck(sandbox)
        grown = resident_kb(sandbox.daemon.pid) - before
        said = client.stderr.read()
        assert client.wait() == 0, said[-2000:]
    assert grown < 8 * 2000 + 2 * ROOM_KB, f"the daemon grew by {grown} kB"
    for number in range(8):
        assert f"RUN echo {number};".encode() in said
