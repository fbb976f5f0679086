"""Dockerfiles that mean harm: the daemon goes on, answers others, and ends when it is told to."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from tests.e2e.app import base
from tests.e2e.sandbox import CROZE, Sandbox
from tests.support.processes import children, command_line, worked_s
from tests.support.waiting import PATIENCE_S, eventually

LINE = 60_000
BUSY = "FROM base\nENV x=" + "a" * LINE + "\n" + "ENV y=${x//a/b}\n" * 3000
"""Minutes of work."""


def readers(sandbox: Sandbox) -> dict[int, float]:
    """The processes that read Dockerfiles, and how long they have worked."""
    assert sandbox.daemon is not None
    return {
        pid: worked_s(pid)
        for fork_server in children(sandbox.daemon.pid)
        if "croze.dockerfile" in command_line(fork_server)
        for pid in children(fork_server)
    }


def start(sandbox: Sandbox, busybox: Path, context: Path) -> tuple[subprocess.Popen[bytes], int]:
    """A build, far enough that its Dockerfile is being read, and who does that."""
    before_s = readers(sandbox)
    words: list[str | Path] = [CROZE, "build", "--progress=plain", *base(busybox), context]
    building = subprocess.Popen(words, env=sandbox.env, stderr=subprocess.PIPE)

    def at_it() -> list[int]:
        now_s = readers(sandbox).items()
        return [pid for pid, worked in now_s if worked >= before_s.get(pid, 0) + 0.5]

    return building, eventually(at_it, process=building)[0]


def test_others_are_answered_and_a_cancelled_build_stops(sandbox: Sandbox, busybox: Path) -> None:
    building, reader = start(sandbox, busybox, sandbox.context("busy", {"Dockerfile": BUSY}))
    assert sandbox.croze("du").code == 0
    other = sandbox.context("other", {"Dockerfile": "FROM base\nRUN true\n"})
    sandbox.croze("build", *base(busybox), other)
    assert building.poll() is None, "it is still being read"
    building.send_signal(signal.SIGINT)
    building.communicate(timeout=PATIENCE_S)
    eventually(lambda: reader not in readers(sandbox))


def test_a_daemon_that_is_told_to_ends(sandbox: Sandbox, busybox: Path) -> None:
    building, _ = start(sandbox, busybox, sandbox.context("busy", {"Dockerfile": BUSY}))
    assert sandbox.daemon is not None
    sandbox.daemon.send_signal(signal.SIGTERM)
    building.send_signal(signal.SIGINT)
    assert sandbox.daemon.wait(PATIENCE_S) == 0
    sandbox.daemon = None
    building.communicate(timeout=PATIENCE_S)


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
        building, _ = start(sandbox, busybox, context)
        assert sandbox.croze("du").code == 0
        assert building.poll() is None, "it is still being read"
        told = "failed to read dockerfile: it took more than 2 seconds to compute"
        assert told in building.communicate(timeout=PATIENCE_S)[1].decode()
        assert building.returncode == 102  # as buildx has it for what needs too much
        flags = ("--progress", "plain", "-o", "type=cacheonly", *base(busybox), str(context))
        stock = sandbox.buildx("trixie", "build", *flags, check=False)
        assert stock.code == 1  # it looks at the code, and BuildKit sends none with its errors
        assert told in stock.stderr
        other = sandbox.context("other", {"Dockerfile": "FROM base\nRUN true\n"})
        sandbox.croze("build", *base(busybox), other)
