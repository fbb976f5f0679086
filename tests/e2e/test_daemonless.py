"""`buildctl-daemonless.sh`: a daemon for one command, here with a /run of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.e2e.sandbox import CROZE, Done, Sandbox, execute

NAME = "buildctl-daemonless.sh"
LISTENING = """\
import os, socket, subprocess, sys
os.mkdir("/run/buildkit")
with socket.socket(socket.AF_UNIX) as another:
    another.bind("/run/buildkit/buildkitd.sock")
    another.listen()
    sys.exit(subprocess.call(sys.argv[1:]))
"""


@pytest.fixture
def daemonless(tmp_path_factory: pytest.TempPathFactory) -> Daemonless:
    return Daemonless(Sandbox(tmp_path_factory.mktemp("daemonless")))


class Daemonless:
    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self.context = sandbox.context("c", {"Dockerfile": "FROM scratch\nCOPY f /\n", "f": "x"})
        link = sandbox.path / "bin" / NAME
        link.parent.mkdir()
        link.symlink_to(CROZE)
        alone = ("unshare", "-m", "sh", "-ec", 'mount -t tmpfs x /run; exec "$@"', "-")
        self.words: list[str | Path] = [*alone, link]
        self.env = {
            **sandbox.env,
            "BUILDKITD": f"{sys.executable} -m croze.daemon",
            "BUILDKITD_FLAGS": f"--root {sandbox.path}/state --debug",
            "BUILDCTL_CONNECT_RETRIES_MAX": "100",
        }

    def __call__(
        self, *words: str | Path, env: Mapping[str, str] | None = None, before: Sequence[str] = ()
    ) -> Done:
        *alone, link = self.words
        command = [*alone, *before, link, *words]
        return execute(command, {**self.env, **(env or {})}, check=False)

    def build(self, out: Path) -> list[str]:
        dirs = [f"--local={name}={self.context}" for name in ("context", "dockerfile")]
        return ["build", "--frontend=dockerfile.v0", *dirs, f"--output=type=local,dest={out}"]

    def left(self) -> list[str]:
        return self._sandbox.wait_no_leftovers()


def test_a_build_leaves_no_daemon_behind(daemonless: Daemonless, tmp_path: Path) -> None:
    done = daemonless(*daemonless.build(tmp_path / "out"))
    assert (tmp_path / "out/f").read_text() == "x", done.output
    assert daemonless.left() == []
    failed = daemonless("build", "--frontend=nope.v0")
    assert failed.code == 1
    assert "invalid frontend: nope.v0" in failed.stderr
    assert daemonless.left() == []


def test_a_daemon_that_does_not_come(daemonless: Daemonless, tmp_path: Path) -> None:
    ended = daemonless("du", env={"BUILDKITD_FLAGS": "--oci-worker-snapshotter=stargz"})
    assert ended.code == 1
    assert "the daemon for unix:///run/buildkit/buildkitd.sock ended, with exit " in ended.stderr
    assert "========== log ==========\ncrozed: " in ended.stderr
    (daemonless.context / "mute").write_text("exec sleep 60\n")
    mute = {"BUILDKITD": f"sh {daemonless.context}/mute", "BUILDCTL_CONNECT_RETRIES_MAX": "0"}
    silent = daemonless("du", env=mute)
    assert "could not connect to unix:///run/buildkit/buildkitd.sock after 0 tr" in silent.stderr
    missing = tmp_path / "missing"
    none = daemonless("du", env={"BUILDKITD": str(missing)})
    assert none.stderr == f"error: cannot start {missing}: No such file or directory\n"
    bad = daemonless("du", env={"BUILDCTL_CONNECT_RETRIES_MAX": "x"})
    assert bad.stderr == "error: BUILDCTL_CONNECT_RETRIES_MAX: 'x' is no number\n"
    refused = daemonless("du", before=(sys.executable, "-c", LISTENING))
    assert (
        "error: a daemon listens at unix:///run/buildkit/buildkitd.sock already" in refused.stderr
    )
    assert daemonless.left() == []


def test_who_leaves_leaves_no_daemon(daemonless: Daemonless) -> None:
    """Told to while the command runs, which here is one that says so and waits."""
    env = {**daemonless.env, "BUILDCTL": f"sh {daemonless.context}/waits"}
    (daemonless.context / "waits").write_text(
        'case "$*" in *debug*) exit 0 ;; esac\necho "$@"; exec sleep 60\n'
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        with subprocess.Popen(
            [*daemonless.words, "du"], env=env, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "--addr=unix:///run/buildkit/buildkitd.sock du\n"
            process.send_signal(number)
            assert process.wait() == 128 + number
        assert daemonless.left() == []
