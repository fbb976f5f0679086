"""Who opens connections and says nothing holds up nobody: neither a step of a build, which is lent
some sockets, nor a client."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hpack import Encoder

from croze.fs.temporary import temporary_directory
from croze.rpc.http2.blocks import header_frames
from tests.e2e.app import base
from tests.e2e.sandbox import CROZE, Sandbox
from tests.e2e.watched import resident_kb, until
from tests.support.files import below
from tests.support.waiting import PATIENCE_S, eventually

DESCRIPTORS, CONNECTIONS = 1024, 2000
ROOM_KB = 64 << 10
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = b"\0\0\0\4\0\0\0\0\0"
BEGINNINGS = [PREFACE[:10], PREFACE + SETTINGS]
WAITS = "echo up; while [ ! -e /n/go ]; do sleep 0.05; done; rm /n/go"


@pytest.fixture(scope="module")
def tight(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A daemon that may have few descriptors."""
    made = Sandbox(tmp_path_factory.mktemp("tight"))
    made.prefix = ("prlimit", f"--nofile={DESCRIPTORS}:{DESCRIPTORS}")
    with made.running():
        made.prefix = ()
        yield made


@contextlib.contextmanager
def flood(path: Path, beginning: bytes) -> Iterator[None]:
    """More connections than the daemon may have descriptors."""
    with contextlib.ExitStack() as stack:
        folder = os.open(path.parent, os.O_PATH)
        stack.callback(os.close, folder)
        for _ in range(CONNECTIONS):
            sock = stack.enter_context(socket.socket(socket.AF_UNIX))
            with contextlib.suppress(OSError):  # where it is refused, or hung up on
                # Without a time-out, which would not wait for others to be accepted.
                sock.connect(f"/proc/self/fd/{folder}/{path.name}")
                sock.settimeout(5)  # the flood goes on where one is not listened to
                sock.sendall(beginning)
        yield


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


class Waiting:
    """A build with a step that waits, and is lent the client's SSH agent."""

    def __init__(self, sandbox: Sandbox, layout: Path, agent: Path, name: str) -> None:
        self._sandbox = sandbox
        self._layout = layout
        mounts = "--mount=type=ssh --mount=type=cache,target=/n"
        text = f"FROM base\nRUN {mounts} : {name}; {WAITS}\nRUN echo good\n"
        context = sandbox.context(name, {"Dockerfile": text})
        words: list[str | Path] = [CROZE, "build", *base(layout), "--progress=plain"]
        words += [f"--ssh=default={agent}", context]
        self.client = subprocess.Popen(words, env=sandbox.env, stderr=subprocess.PIPE)
        until(self.client, b" up\n")

    def end(self) -> bytes:
        """What it says once it may go on. Other builds are made for that."""
        text = "FROM base\nRUN --mount=type=cache,target=/n touch /n/go\n"
        go = self._sandbox.context("go", {"Dockerfile": text})
        self._sandbox.croze("build", "--no-cache", *base(self._layout), go)
        said = self.client.communicate(timeout=PATIENCE_S)[1]
        assert self.client.returncode == 0, said
        return said


@pytest.fixture
def agent() -> Iterator[Path]:
    """Something that listens where an agent would."""
    with temporary_directory("agent") as folder, socket.socket(socket.AF_UNIX) as sock:
        sock.bind(f"{folder}/agent")
        sock.listen(1)
        yield Path(folder, "agent")


@pytest.mark.parametrize("lent", ["otel-grpc.sock", "ssh_auth_sock"])
def test_a_step_floods_what_it_is_lent(
    tight: Sandbox, busybox: Path, agent: Path, lent: str
) -> None:
    assert tight.daemon is not None
    waiting = Waiting(tight, busybox, agent, f"lent-{lent}")
    (path,) = [each for each in below(tight.root) if each.name == lent]
    before_kb = resident_kb(tight.daemon.pid)
    for beginning in BEGINNINGS:
        with flood(path, beginning):
            assert descriptors(tight.daemon.pid) < DESCRIPTORS // 2
            tight.croze("du")
    assert b"good" in waiting.end()
    assert resident_kb(tight.daemon.pid) - before_kb < ROOM_KB


def test_a_step_calls_and_reads_no_answers(tight: Sandbox, busybox: Path, agent: Path) -> None:
    """A call of what is not there takes a dozen bytes, and is answered with its name."""
    assert tight.daemon is not None
    waiting = Waiting(tight, busybox, agent, "unread")
    (path,) = [each for each in below(tight.root) if each.name == "otel-grpc.sock"]
    pairs = {":method": "POST", ":path": f"/{'x' * 3900}", "content-type": "application/grpc"}
    encoder = Encoder()
    calls = [
        header_frames(number, encoder.encode(pairs.items(), huffman=False), 16_384, end_stream=True)
        for number in range(1, 30_001, 2)
    ]
    before_kb = resident_kb(tight.daemon.pid)
    with socket.socket(socket.AF_UNIX) as sock:
        folder = os.open(path.parent, os.O_PATH)
        sock.connect(f"/proc/self/fd/{folder}/{path.name}")
        os.close(folder)
        sock.settimeout(10)  # the daemon stops to listen
        with contextlib.suppress(OSError):
            sock.sendall(PREFACE + SETTINGS + b"".join(calls))
        eventually(lambda: "too many answers that nobody reads" in tight.log_text())
        tight.croze("du")
        assert resident_kb(tight.daemon.pid) - before_kb < ROOM_KB
    assert b"good" in waiting.end()


def test_clients_that_say_nothing(tight: Sandbox, busybox: Path, agent: Path) -> None:
    """Whoever is there is served to the end; whoever comes is told, and is served afterwards."""
    assert tight.daemon is not None
    waiting = Waiting(tight, busybox, agent, "clients")
    before_kb = resident_kb(tight.daemon.pid)
    for beginning in BEGINNINGS:
        with flood(tight.socket, beginning):
            assert descriptors(tight.daemon.pid) < DESCRIPTORS * 3 // 4
            refused = tight.croze("du", check=False)
            assert refused.code == 1
            assert f"the daemon at {tight.address} answers nothing" in refused.stderr
        eventually(lambda: not tight.croze("du", check=False).code)
    assert b"good" in waiting.end()
    assert resident_kb(tight.daemon.pid) - before_kb < ROOM_KB
