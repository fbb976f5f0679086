"""Builds that go on without whoever began them."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.app import base
from tests.e2e.sandbox import CROZE, Sandbox
from tests.e2e.terminal import Terminal
from tests.support.waiting import PATIENCE_S, eventually

WAIT = (
    'RUN --mount=type=cache,target=/n echo "step $STEP up"; '
    "while [ ! -e /n/go-$STEP ]; do sleep 0.05; done"
)


class Builds:
    """Builds that wait until they are let go."""

    def __init__(self, sandbox: Sandbox, busybox: Path) -> None:
        self.sandbox = sandbox
        self.base = base(busybox)
        self._count = 0

    def context(self, *after: str) -> Path:
        """A build that waits in its one step, and then does what `after` says."""
        self._count += 1
        lines = ["FROM base", f"ENV STEP={self._count}", WAIT, *after]
        return self.sandbox.context(f"waits{self._count}", {"Dockerfile": "\n".join(lines)})

    def let_go(self) -> None:
        lines = f"FROM base\nRUN --mount=type=cache,target=/n touch /n/go-{self._count}\n"
        context = self.sandbox.context(f"let_go{self._count}", {"Dockerfile": lines})
        self.sandbox.croze("build", *self.base, "--output", "type=cacheonly", context)

    def detach(self, *words: str | Path) -> str:
        done = self.sandbox.croze("build", "--detach", *self.base, *words)
        assert re.fullmatch(r"[a-z0-9]{25}\n", done.stdout), done.output
        return done.stdout.strip()

    def attach(self, ref: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [CROZE, "attach", "--progress=plain", ref],
            env=self.sandbox.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )


@pytest.fixture
def builds(sandbox: Sandbox, busybox: Path) -> Builds:
    return Builds(sandbox, busybox)


def holders(sandbox: Sandbox) -> list[int]:
    """The processes that stay behind."""
    lines = [line for line in sandbox.leftovers() if "croze.cli.detach" in line]
    return [int(line.split()[1]) for line in lines]


def wait_gone(sandbox: Sandbox) -> None:
    eventually(lambda: not holders(sandbox), lambda: "the process that stayed behind has not ended")


def steps(shown: str) -> list[str]:
    """What a watcher saw of the user's step, but for its times."""
    text = re.sub(r"(?m)^#\d+ (?:[\d.]+ )?", "", shown)
    return [line for line in text.splitlines() if "step" in line or "after" in line]


def test_a_project_with_modules_of_ours(builds: Builds, tmp_path: Path) -> None:
    """What is in the directory is built, and not run."""
    marker = tmp_path / "was_run"
    modules = {f"{name}.py": f"open({str(marker)!r}, 'w')\n" for name in ("json", "socket", "grpc")}
    project = builds.sandbox.context("modules", {"Dockerfile": "FROM scratch\nCOPY f /\n", "f": ""})
    for name, text in modules.items():
        (project / name).write_text(text)
    done = builds.sandbox.croze("build", "--detach", ".", cwd=project)
    builds.sandbox.croze("attach", done.stdout.strip())
    assert not marker.exists()
    wait_gone(builds.sandbox)


def test_a_build_outlives_its_terminal_and_all_watchers_see_the_same(builds: Builds) -> None:
    sandbox = builds.sandbox
    context = builds.context("RUN echo after")
    command = [str(CROZE), "build", "--detach", *builds.base, "-t", "kept", str(context)]
    with Terminal(command, sandbox.env) as terminal:
        ref = terminal.expect("\n").strip()
    # The terminal is gone, and whoever was its foreground has been hung up.
    first, second = builds.attach(ref), builds.attach(ref)
    builds.let_go()
    seen = [watcher.communicate(timeout=PATIENCE_S)[1] for watcher in (first, second)]
    assert [first.returncode, second.returncode] == [0, 0], seen
    late = sandbox.croze("attach", "--progress=plain", ref)
    assert steps(seen[0]) == steps(seen[1]) == steps(late.stderr)
    assert "step 1 up" in steps(late.stderr)
    assert "after" in steps(late.stderr)
    shown = sandbox.croze("images").stdout
    assert "kept" in shown
    assert sandbox.croze("attach", "-q", ref).stdout.startswith("sha256:")
    wait_gone(sandbox)


def test_a_failed_build_says_so_to_whoever_attaches(builds: Builds) -> None:
    ref = builds.detach(builds.context("RUN exit 7"))
    watcher = builds.attach(ref)
    builds.let_go()
    said = watcher.communicate(timeout=PATIENCE_S)[1]
    assert watcher.returncode == 1
    assert ">>> RUN exit 7" in said
    assert said.endswith("did not complete successfully: exit code: 7\n"), said
    assert "ERROR: failed to build: failed to solve: process" in said
    wait_gone(builds.sandbox)


def test_a_build_outlives_its_client(builds: Builds) -> None:
    ref = builds.detach("-t", "orphan", builds.context())
    (holder,) = holders(builds.sandbox)
    watcher = builds.attach(ref)
    wait_up(watcher)
    os.kill(holder, signal.SIGKILL)
    wait_gone(builds.sandbox)
    builds.let_go()
    rest = watcher.communicate(timeout=PATIENCE_S)[1]
    assert watcher.returncode == 0, rest
    assert "orphan" in builds.sandbox.croze("images").stdout


def wait_up(watcher: subprocess.Popen[str]) -> None:
    """Until the step that waits has begun to."""
    assert watcher.stderr is not None
    for line in watcher.stderr:
        if line.rstrip().endswith(" up"):
            return
    raise AssertionError("the step has not begun")


def test_a_build_outlives_the_network_and_is_lent_secrets_afterwards(
    builds: Builds, tmp_path: Path
) -> None:
    sandbox = builds.sandbox
    secret = tmp_path / "secret"
    secret.write_text("word-after-the-break")
    context = builds.context("RUN --mount=type=secret,id=word cat /run/secrets/word > /told")
    metadata = tmp_path / "metadata.json"
    with Relay(tmp_path / "relay.sock", sandbox.socket) as relay:
        sandbox.extra_env["CROZE_HOST"] = f"unix://{relay.path}"
        ref = builds.detach(
            *("--secret", f"id=word,src={secret}", "--metadata-file", str(metadata)),
            *("--output", f"type=local,dest={tmp_path}/out", context),
        )
        del sandbox.extra_env["CROZE_HOST"]
        watcher = builds.attach(ref)
        wait_up(watcher)
        relay.cut()
        assert relay.wait_connected() > 0, "the client has not come back"
        builds.let_go()
        rest = watcher.communicate(timeout=PATIENCE_S)[1]
        assert watcher.returncode == 0, rest
        wait_gone(sandbox)
    assert (tmp_path / "out/told").read_text() == "word-after-the-break"
    assert ref in metadata.read_text()


def test_a_build_can_be_cancelled(builds: Builds) -> None:
    ref = builds.detach(builds.context())
    watcher = builds.attach(ref)
    wait_up(watcher)
    assert builds.sandbox.croze("cancel", ref).stdout == f"{ref}\n"
    said = watcher.communicate(timeout=PATIENCE_S)[1]
    assert watcher.returncode == 130
    assert said.endswith("failed to solve: Canceled: context canceled\n")
    wait_gone(builds.sandbox)
    again = builds.sandbox.croze("cancel", ref, check=False)
    assert (again.code, again.stderr) == (1, f"ERROR: no build {ref} is running\n")


def test_whoever_leaves_an_attached_build_does_not_end_it(builds: Builds) -> None:
    ref = builds.detach(builds.context())
    watcher = builds.attach(ref)
    wait_up(watcher)
    watcher.send_signal(signal.SIGINT)
    said = watcher.communicate(timeout=PATIENCE_S)[1]
    assert watcher.returncode == 130
    assert said.endswith("left; a detached build goes on (croze attach, croze cancel)\n")
    builds.let_go()
    assert builds.sandbox.croze("attach", ref).code == 0
    wait_gone(builds.sandbox)


def test_what_fails_before_the_build_is_told_at_once(builds: Builds) -> None:
    sandbox = builds.sandbox
    context = builds.context()
    cases = [
        (("--detach", context / "nowhere"), "path"),
        (("--detach", "--call=outline", context), "--detach and --call=outline can't be used"),
        (("--detach", "--quiet", context), "--detach and --quiet can't be used together"),
        (("--detach", "--progress=tty", context), "--detach and --progress=tty can't be used"),
        (("--detach", "-o", "-", context), "a detached build can't write to standard output"),
        (("--detach", "--secret", "id=x,src=/nowhere", context), "/nowhere"),
    ]
    for words, message in cases:
        done = sandbox.croze("build", *words, check=False)
        assert done.code == 1, done.output
        assert done.stdout == ""
        assert message in done.stderr
    wait_gone(sandbox)


def test_a_daemon_that_is_stopped_waits_for_a_detached_build(builds: Builds) -> None:
    sandbox = builds.sandbox
    ref = builds.detach("-t", "waited", builds.context())
    watcher = builds.attach(ref)
    wait_up(watcher)
    assert sandbox.daemon is not None
    builds.let_go()
    sandbox.daemon.send_signal(signal.SIGTERM)
    watcher.communicate(timeout=PATIENCE_S)
    assert sandbox.daemon.wait(PATIENCE_S) == 0
    sandbox.daemon = None
    wait_gone(sandbox)
    sandbox.start()
    assert "waited" in sandbox.croze("images").stdout


class Relay:
    """Stands for the network between a client and its daemon."""

    def __init__(self, path: Path, to: Path) -> None:
        self.path = path
        self._to = to
        self._listening = socket.socket(socket.AF_UNIX)
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._connected = threading.Event()
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Relay:
        self._listening.bind(str(self.path))
        self._listening.listen()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self.cut()
        self._thread.join()

    def cut(self) -> None:
        """All connections that are open end at once."""
        self._connected.clear()
        pairs, self._pairs = self._pairs, []  # not those that come back at once
        for pair in pairs:
            for end in pair:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def wait_connected(self) -> int:
        """Until somebody connects after the last cut; how many are connected."""
        self._connected.wait(PATIENCE_S)
        return len(self._pairs)

    def _accept(self) -> None:
        for near in self._accepted():
            far = socket.socket(socket.AF_UNIX)
            far.connect(str(self._to))
            self._pairs.append((near, far))
            self._connected.set()
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=_pump, args=(one, other), daemon=True).start()

    def _accepted(self) -> Iterator[socket.socket]:
        with contextlib.suppress(OSError):
            while True:
                yield self._listening.accept()[0]


def _pump(one: socket.socket, other: socket.socket) -> None:
    """What one end says, to the other; each end is closed by whoever reads it."""
    with one, contextlib.suppress(OSError):
        while data := one.recv(65536):
            other.sendall(data)
    with contextlib.suppress(OSError):
        other.shutdown(socket.SHUT_RDWR)
