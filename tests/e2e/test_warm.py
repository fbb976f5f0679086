"""The warm process: commands behave as without it, and it goes when it should."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.app import base
from tests.e2e.sandbox import Done, Sandbox, execute
from tests.e2e.terminal import Terminal
from tests.e2e.warm_processes import WARM, Start, warm_sockets
from tests.e2e.warm_processes import start as start
from tests.e2e.warm_processes import warm as warm
from tests.support.processes import children
from tests.support.waiting import PATIENCE_S, eventually


def both(sandbox: Sandbox, start: Start, *words: str | Path) -> tuple[Done, Done]:
    """The same command without and with the warm process."""
    command = [*start, *words]
    cold = execute(command, sandbox.env, cwd=sandbox.path, check=False)
    return cold, execute(command, {**sandbox.env, **WARM}, cwd=sandbox.path, check=False)


@pytest.mark.parametrize(
    ("words", "code"),
    [(["--help"], 0), (["build", "--taag"], 1), (["build", "none"], 1), (["nonsense"], 1)],
)
def test_commands_answer_the_same_in_the_warm_process(
    sandbox: Sandbox, warm: subprocess.Popen[bytes], start: Start, words: list[str], code: int
) -> None:
    cold, hot = both(sandbox, start, *words)
    assert cold == hot
    assert cold.code == code


def test_builds_are_the_same_in_the_warm_process(
    sandbox: Sandbox, warm: subprocess.Popen[bytes], start: Start
) -> None:
    context = sandbox.context("c", {"Dockerfile": "FROM scratch\nCOPY a /\n", "a": "b"})
    cold, hot = both(sandbox, start, "build", "-q", context)
    assert cold == hot
    assert cold.stdout.startswith("sha256:")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_reach_the_build(
    sandbox: Sandbox, warm: subprocess.Popen[bytes], start: Start, busybox: Path, number: int
) -> None:
    context = sandbox.context("slow", {"Dockerfile": "FROM base\nRUN echo up; sleep 60\n"})
    words = [*start, "build", *base(busybox), "--progress=plain", str(context)]
    with subprocess.Popen(words, env={**sandbox.env, **WARM}, stderr=subprocess.PIPE) as client:
        assert client.stderr is not None
        while b" up\n" not in client.stderr.readline():
            assert client.poll() is None
        client.send_signal(number)
        assert b"context canceled" in client.stderr.read()
    assert client.returncode == 130


@pytest.mark.parametrize("named", ["environment", "daemon", "builder", "context"])
def test_ssh_asks_at_the_terminal(
    sandbox: Sandbox, warm: subprocess.Popen[bytes], start: Start, named: str
) -> None:
    """Which no child of the warm process has: where it may be started, the command runs itself."""
    ssh = sandbox.context("bin", {"ssh": "#!/bin/sh\necho the password? >/dev/tty\n"}) / "ssh"
    ssh.chmod(0o755)
    env = {**sandbox.env, **WARM, "PATH": f"{ssh.parent}:{os.environ['PATH']}"}
    words = [*start, "du"]
    if named == "environment":
        env["DOCKER_HOST"] = "ssh://nowhere"
        words.append("--builder=default")
    elif named == "daemon":
        env["BUILDKIT_HOST"] = "ssh://nowhere"
    elif named == "builder":
        create = ["create", "--name=far", "--driver=remote", "--use", "ssh://nowhere"]
        sandbox.croze(*create)
    else:
        meta = sandbox.path / ".docker/contexts/meta" / hashlib.sha256(b"far").hexdigest()
        meta.mkdir(parents=True)
        told = {"Name": "far", "Endpoints": {"docker": {"Host": "ssh://nowhere"}}}
        (meta / "meta.json").write_text(json.dumps(told))
        words.append("--builder=far")
    with Terminal(words, env) as terminal:
        terminal.expect("the password?")


def test_one_that_was_stopped_holds_up_nobody(
    sandbox: Sandbox, warm: subprocess.Popen[bytes], start: Start
) -> None:
    context = sandbox.context("c", {"Dockerfile": "FROM scratch\nCOPY a /\n", "a": "b"})
    for pid in (warm.pid, *children(warm.pid)):
        os.kill(pid, signal.SIGSTOP)
    done = execute([*start, "build", "-q", context], {**sandbox.env, **WARM})
    assert done.stdout.startswith("sha256:")
    assert done.stderr == ""


def test_as_many_wait_as_came_at_once(
    sandbox: Sandbox, warm: subprocess.Popen[bytes], start: Start
) -> None:
    """Three; four, if the fixture that looked whether it answers was still one of them."""
    words, env = [*start, "build", "-q", "-"], {**sandbox.env, **WARM}
    clients = [
        subprocess.Popen(words, env=env, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(3)
    ]
    eventually(lambda: len(children(warm.pid)) >= 3 + 3)
    for client in clients:
        assert b"no instructions" in client.communicate(b"# nothing\n")[1]
    eventually(lambda: len(children(warm.pid)) in (3, 4))


def test_goes_with_its_socket(sandbox: Sandbox, warm: subprocess.Popen[bytes]) -> None:
    os.rename(warm_sockets(sandbox)[0], sandbox.runtime / "old.sock")
    with socket.socket(socket.AF_UNIX) as caller:
        caller.connect(str(sandbox.runtime / "old.sock"))
    assert warm.wait(PATIENCE_S) == 0


def test_a_build_imports_nothing(sandbox: Sandbox) -> None:
    """What the warm process has not imported, every build would have to."""
    context = sandbox.context("c", {"Dockerfile": "FROM scratch\nCOPY a /\n", "a": "b"})
    sandbox.is_measured = False
    code = """if True:
        import sys
        from croze.cli import main
        from croze.cli.warm import process as warm
        warm.preload_all()
        before = set(sys.modules)
        assert main.run(["build", "-q", "-t", "x", sys.argv[1]]) == 0
        print(sorted(set(sys.modules) - before))
    """
    done = execute([sys.executable, "-c", code, context], sandbox.env)
    assert done.stdout.splitlines()[1:] == ["[]"]
