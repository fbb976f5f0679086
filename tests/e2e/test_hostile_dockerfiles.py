"""Dockerfiles that mean harm: the daemon goes on, answers others, and ends when it is told to."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from tests.e2e.app import base
from tests.e2e.sandbox import CROZE, Sandbox, select_pause

LINE = 60_000
BUSY = "FROM base\nENV x=" + "a" * LINE + "\n" + "ENV y=${x//a/b}\n" * 3000
"""Minutes of work."""


def processes(sandbox: Sandbox) -> set[str]:
    """Of the daemon: those that read Dockerfiles, and who forks them."""
    assert sandbox.daemon is not None
    return {
        pid
        for child in children(sandbox.daemon.pid)
        for pid in [child, *children(child)]
        if b"croze.dockerfile" in Path(f"/proc/{pid}/cmdline").read_bytes()
    }


def children(pid: int | str) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def computed(pids: set[str]) -> int:
    """Ticks of processor time."""
    fields = [Path(f"/proc/{pid}/stat").read_text().rsplit(")")[1].split() for pid in pids]
    return sum(int(each[11]) for each in fields)


def start(sandbox: Sandbox, busybox: Path, context: Path) -> subprocess.Popen[bytes]:
    """A build, far enough that its Dockerfile is being read."""
    before = computed(processes(sandbox))
    words: list[str | Path] = [CROZE, "build", "--progress=plain", *base(busybox), context]
    building = subprocess.Popen(words, env=sandbox.env, stderr=subprocess.PIPE)
    while computed(processes(sandbox)) < before + 50:
        assert building.poll() is None
        select_pause()
    return building


def test_others_are_answered_and_a_cancelled_build_stops(sandbox: Sandbox, busybox: Path) -> None:
    building = start(sandbox, busybox, sandbox.context("busy", {"Dockerfile": BUSY}))
    reading = processes(sandbox)
    assert sandbox.croze("du").code == 0
    other = sandbox.context("other", {"Dockerfile": "FROM base\nRUN true\n"})
    sandbox.croze("build", *base(busybox), other)
    assert building.poll() is None, "it is still being read"
    building.send_signal(signal.SIGINT)
    building.communicate(timeout=20)
    while reading & processes(sandbox) and computed(reading & processes(sandbox)) > 100:
        select_pause()


def test_a_daemon_that_is_told_to_ends(sandbox: Sandbox, busybox: Path) -> None:
    building = start(sandbox, busybox, sandbox.context("busy", {"Dockerfile": BUSY}))
    assert sandbox.daemon is not None
    sandbox.daemon.send_signal(signal.SIGTERM)
    building.send_signal(signal.SIGINT)
    assert sandbox.daemon.wait(timeout=20) == 0
    sandbox.daemon = None
    building.communicate(timeout=20)


DOUBLING = "FROM base\nENV x=" + "a" * 1000 + "\n" + "ENV x=$x$x$x$x$x$x$x$x\n" * 20
QUICK = {
    "a directive of spaces": ("#syntax=x" + " " * LINE + "y\nFROM base\n", ""),
    "a long pattern": (
        f"FROM base\nENV x={'a' * LINE}\nENV y=${{x/{'a' * 12_000}b/z}}\n",
        "",
    ),
    "a text that grows": (DOUBLING, "it needs too much memory"),
}


@pytest.mark.parametrize("name", QUICK)
def test_it_ends_soon(desk: Sandbox, busybox: Path, name: str) -> None:
    text, message = QUICK[name]
    context = desk.context(name.replace(" ", "-"), {"Dockerfile": text})
    done = desk.croze("build", "--progress=plain", *base(busybox), context, check=False)
    assert message in done.stderr
    assert (done.code != 0) == bool(message or "syntax" in text), done.stderr


def test_who_computes_too_long_is_told_so(tmp_path: Path, busybox: Path) -> None:
    """By our client and the stock one; others are answered meanwhile."""
    sandbox = Sandbox(tmp_path)
    settings = tmp_path / "crozed.toml"
    settings.write_text('[frontend."dockerfile.v0"]\nmaxCpuTime = "2s"\n')
    with sandbox.running("--config", str(settings)):
        context = sandbox.context("busy", {"Dockerfile": BUSY})
        building = start(sandbox, busybox, context)
        assert sandbox.croze("du").code == 0
        assert building.poll() is None, "it is still being read"
        told = "failed to read dockerfile: it took more than 2 seconds to compute"
        assert told in building.communicate(timeout=60)[1].decode()
        assert building.returncode == 102  # as buildx has it for what needs too much
        flags = ("--progress", "plain", "-o", "type=cacheonly", *base(busybox), str(context))
        stock = sandbox.buildx("trixie", "build", *flags, check=False)
        assert stock.code == 1  # it looks at the code, and BuildKit sends none with its errors
        assert told in stock.stderr
        other = sandbox.context("other", {"Dockerfile": "FROM base\nRUN true\n"})
        sandbox.croze("build", *base(busybox), other)
