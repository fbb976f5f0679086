"""What goes wrong gets one clear message and the right exit code, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.e2e.app import base
from tests.e2e.failing import failing
from tests.e2e.sandbox import CROZE, Sandbox
from tests.e2e.warm_processes import WARM
from tests.support.processes import NAP_S, sleepers
from tests.support.waiting import PATIENCE_S, eventually, free_port


def test_an_unknown_flag_is_named(sandbox: Sandbox) -> None:
    assert "unknown flag: --taag" in failing(sandbox, "build", "--taag", "x", ".")


def test_a_missing_dockerfile_is_named(sandbox: Sandbox) -> None:
    context = sandbox.context("none", {"a": "b"})
    message = "failed to read dockerfile: open Dockerfile: no such file or directory"
    assert message in failing(sandbox, "build", context)


def test_a_missing_context_is_named(sandbox: Sandbox) -> None:
    assert 'path "/no/such/place" not found' in failing(sandbox, "build", "/no/such/place")


def test_a_syntax_error_shows_its_line_and_what_was_meant(sandbox: Sandbox) -> None:
    context = sandbox.context("bad", {"Dockerfile": "FROM scratch\nCOPPY a b\n"})
    said = failing(sandbox, "build", context)
    assert "Dockerfile:2" in said
    assert ">>> COPPY a b" in said
    assert "unknown instruction: COPPY (did you mean COPY?)" in said


def test_a_registry_that_can_not_be_reached_is_named(sandbox: Sandbox) -> None:
    host = f"127.0.0.1:{free_port()}"
    context = sandbox.context("bad", {"Dockerfile": f"FROM {host}/app\n"})
    said = failing(sandbox, "build", context)
    assert f"failed to resolve source metadata for {host}/app:latest" in said
    assert "connection refused" in said


def test_a_failing_step_shows_its_output_and_its_line(sandbox: Sandbox, busybox: Path) -> None:
    dockerfile = "FROM base\nRUN echo on stdout; echo on stderr >&2; exit 42\n"
    context = sandbox.context("bad", {"Dockerfile": dockerfile})
    said = failing(sandbox, "build", *base(busybox), context)
    assert "on stdout" in said
    assert "on stderr" in said
    assert ">>> RUN echo on stdout" in said
    assert "did not complete successfully: exit code: 42" in said


def test_a_missing_file_is_named_with_its_line(sandbox: Sandbox) -> None:
    context = sandbox.context("bad", {"Dockerfile": "FROM scratch\nCOPY nothing /\n"})
    said = failing(sandbox, "build", context)
    assert '"/nothing": not found' in said
    assert ">>> COPY nothing /" in said


SLOW = f"FROM base\nRUN echo up; sleep {NAP_S}\n"


def interrupted(sandbox: Sandbox, busybox: Path, number: int) -> tuple[int, str]:
    """Start a build that sleeps, signal the client once the step runs; its exit code, and what it
    said. No container sleeps on."""
    context = sandbox.context("slow", {"Dockerfile": SLOW})
    words = [str(CROZE), "build", *base(busybox), "--progress=plain", str(context)]
    log = sandbox.path / "client.log"
    with open(log, "wb") as output:
        env = {**sandbox.env, **WARM}
        client = subprocess.Popen(words, env=env, stdout=output, stderr=output)
    eventually(lambda: " up\n" in log.read_text(), log.read_text, process=client)
    eventually(sleepers)
    client.send_signal(number)
    code = client.wait(PATIENCE_S)
    eventually(lambda: not sleepers())
    assert not any("croze.cli.warm" in each for each in sandbox.leftovers()), "it would be deaf"
    return code, log.read_text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_build_ends_with_130(sandbox: Sandbox, busybox: Path, number: int) -> None:
    code, said = interrupted(sandbox, busybox, number)
    assert code == 130
    assert said.endswith("ERROR: failed to build: failed to solve: Canceled: context canceled\n")


def test_interrupt_of_a_background_job(sandbox: Sandbox, busybox: Path) -> None:
    """Shells start those with SIGINT ignored."""
    old = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        code, said = interrupted(sandbox, busybox, signal.SIGTERM)
    finally:
        signal.signal(signal.SIGINT, old)
    assert code == 130
    assert "context canceled" in said


def test_a_client_that_vanishes_cancels_its_build(sandbox: Sandbox, busybox: Path) -> None:
    interrupted(sandbox, busybox, signal.SIGKILL)


def test_kill_during_a_run(sandbox: Sandbox, busybox: Path) -> None:
    context = sandbox.context("slow", {"Dockerfile": SLOW})
    words = [str(CROZE), "build", *base(busybox), "--progress=plain", str(context)]
    with subprocess.Popen(
        words, env=sandbox.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as client:
        assert client.stdout is not None
        for line in client.stdout:
            if line.endswith(" up\n"):
                break
        sandbox.stop(signal.SIGKILL)
        said = client.stdout.read()
        assert client.wait(PATIENCE_S) == 1
    told = "failed to solve: Unavailable: error reading from server: EOF (lost the connection"
    assert f"ERROR: failed to build: {told}" in said
    eventually(lambda: not sleepers())
    assert sandbox.wait_no_leftovers() == []
    sandbox.start()
    assert "0 problems" in sandbox.croze("debug", "verify").stdout
    (context / "Dockerfile").write_text("FROM base\nRUN true\n")
    sandbox.croze("build", *base(busybox), context)


def test_a_full_disk_fails_the_build_and_not_the_daemon(sandbox: Sandbox, busybox: Path) -> None:
    """A root on a small tmpfs: a clear message, and the daemon goes on once there is room."""
    sandbox.stop()
    sandbox.root.rename(sandbox.path / "old-root")
    sandbox.root.mkdir()
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m,mode=700", "tmpfs", sandbox.root], check=True
    )
    try:
        sandbox.start()
        dockerfile = "FROM base\nRUN dd if=/dev/zero of=/big bs=1M count=64\n"
        context = sandbox.context("big", {"Dockerfile": dockerfile})
        said = failing(sandbox, "build", *base(busybox), context)
        assert "No space left on device" in said
        context = sandbox.context("big-copy", {"Dockerfile": "FROM scratch\nCOPY big /\n"})
        with open(context / "big", "wb") as big:
            big.write(os.urandom(40 << 20))
        assert "no space left on device" in failing(sandbox, "build", context, code=102).lower()
        small = sandbox.context("small", {"Dockerfile": "FROM base\nRUN echo fits > /a\n"})
        sandbox.croze("build", *base(busybox), small)
        assert sandbox.stop() == 0
    finally:
        if sandbox.daemon is not None:
            sandbox.stop()
        subprocess.run(["umount", sandbox.root], check=True)


def test_a_daemon_that_can_not_build_leaves_and_says_why(tmp_path: Path) -> None:
    """Though it has answered already. Whoever starts it sees that it failed."""
    sandbox = Sandbox(tmp_path)
    with sandbox.killing():
        sandbox.start()
        assert sandbox.stop() == 0
        for path in sandbox.root.glob("why.db*"):
            path.unlink()
        (sandbox.root / "why.db").mkdir()
        sandbox.start()
        assert sandbox.daemon is not None
        assert sandbox.daemon.wait(PATIENCE_S) == 1
    told = f"records of past builds, {sandbox.root}/why.db: unable to open database file"
    assert f" ERROR croze.daemon.engine.opening: can't build: {told}\n" in sandbox.log_text()
    assert sandbox.log_text().endswith(f"\ncrozed: {told}\n")
    assert "Traceback" not in sandbox.log_text()
    assert sandbox.wait_no_leftovers() == []
