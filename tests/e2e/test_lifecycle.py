"""How `crozed` starts, tells that it did, and ends."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import grpc
import grpc.aio
import pytest

import croze
from tests.e2e.sandbox import CROZE, Sandbox, execute
from tests.rpc.grpc_client import open_channel
from tests.support.processes import NAP_S, worked_s
from tests.support.waiting import PATIENCE_S, eventually, turns

CROZED = CROZE.with_name("crozed")
SERVING = b"\x08\x01"


def test_it_is_ready_with_little_work(stopped: Sandbox) -> None:
    """The processor's seconds are counted, as the machine has other things to do, too. The best of
    some tries: the first may compile."""
    seconds = []
    stopped.is_measured = False
    for _ in range(3):
        stopped.start()
        assert stopped.daemon is not None
        seconds.append(worked_s(stopped.daemon.pid))
        assert stopped.stop() == 0
    assert min(seconds) < 0.7, seconds


def test_under_buildkitds_name(stopped: Sandbox) -> None:
    link = stopped.path / "buildkitd"
    link.symlink_to(CROZED)
    done = execute([link, "-v"], stopped.env)
    assert done.stdout.startswith("buildkitd croze v")
    assert "--oci-worker-net" in execute([link, "--help"], stopped.env).stdout
    done = execute([link, "-nope"], stopped.env, check=False)
    assert done.stderr.endswith("buildkitd: flag provided but not defined: -nope\n")


def test_systemd_is_told(stopped: Sandbox) -> None:
    path = stopped.path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(str(path))
        told.settimeout(PATIENCE_S)
        stopped.extra_env["NOTIFY_SOCKET"] = str(path)
        stopped.start()
        assert told.recv(100) == b"READY=1"
        assert stopped.stop() == 0
        assert told.recv(100) == b"STOPPING=1"


def test_log_lines_of_json(stopped: Sandbox) -> None:
    stopped.start("--log-format=json", "--trace")
    assert stopped.stop() == 0
    entries = [json.loads(line) for line in stopped.log_text().splitlines()]
    assert {"level", "msg", "time"} <= entries[0].keys()
    assert any(
        e["level"] == "warning" and "--trace option is deprecated" in e["msg"] for e in entries
    )


def test_the_socket_belongs_to_whom_the_settings_say(stopped: Sandbox) -> None:
    (stopped.path / "c.toml").write_text("[grpc]\nuid = 7\ngid = 8\n")
    stopped.start("--config", str(stopped.path / "c.toml"), "--group=9")
    found = stopped.socket.stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (7, 9, 0o660)


async def test_the_health_service_answers(sandbox: Sandbox) -> None:
    async with open_channel(f"unix:{sandbox.socket}") as channel:
        check = channel.unary_unary("/grpc.health.v1.Health/Check", bytes, bytes)
        assert await check(b"", timeout=PATIENCE_S) == SERVING
        with pytest.raises(grpc.RpcError, match="unknown service"):
            await check(b"\x0a\x01x", timeout=PATIENCE_S)
        watch = channel.unary_stream("/grpc.health.v1.Health/Watch", bytes, bytes)(
            b"", timeout=PATIENCE_S
        )
        assert await anext(aiter(watch)) == SERVING
        watch.cancel()


async def test_messages_have_a_limit(sandbox: Sandbox) -> None:
    """Of 16 MiB, as BuildKit's have."""
    options = [("grpc.max_send_message_length", -1)]
    async with open_channel(f"unix:{sandbox.socket}", options) as channel:
        info = channel.unary_unary("/moby.buildkit.v1.Control/Info", bytes, bytes)
        unknown_field = b"\x7a\x80\x80\x80\x07"  # number 15, of 14 MiB
        assert await info(unknown_field + bytes(14 << 20), timeout=PATIENCE_S)
        with pytest.raises(grpc.RpcError, match="larger than max"):
            await info(bytes((16 << 20) + 1), timeout=PATIENCE_S)


def building(sandbox: Sandbox, busybox: Path, command: str) -> subprocess.Popen[str]:
    """A build whose step is under way."""
    context = sandbox.context("slow", {"Dockerfile": f"FROM base\nRUN echo it-is-up; {command}\n"})
    words = [CROZE, "build", "--progress=plain", "--build-context", f"base=oci-layout://{busybox}"]
    client = subprocess.Popen(
        [*map(str, words), str(context)], env=sandbox.env, stderr=subprocess.PIPE, text=True
    )
    assert client.stderr is not None
    for line in client.stderr:
        if line.rstrip().endswith(" it-is-up"):
            return client
    raise AssertionError("the step did not begin")


def test_the_first_signal_waits_for_builds(sandbox: Sandbox, busybox: Path) -> None:
    with building(sandbox, busybox, "sleep 2") as client:
        assert sandbox.stop() == 0
        client.communicate(timeout=PATIENCE_S)
    assert client.returncode == 0


def test_the_second_signal_does_not(sandbox: Sandbox, busybox: Path) -> None:
    with building(sandbox, busybox, f"sleep {NAP_S}") as client:
        assert sandbox.daemon is not None
        sandbox.daemon.send_signal(signal.SIGTERM)
        eventually(lambda: "stopping server" in sandbox.log_text())
        for _ in turns():  # signals that come together count as one
            if sandbox.daemon.poll() is not None:
                break
            sandbox.daemon.send_signal(signal.SIGINT)
        client.communicate(timeout=PATIENCE_S)
    assert client.returncode == 1
    sandbox.daemon = None


def test_stopped_again_it_ends_its_builds(sandbox: Sandbox, busybox: Path) -> None:
    with building(sandbox, busybox, f"sleep {NAP_S}") as client:
        assert sandbox.daemon is not None
        sandbox.croze("stop")
        for _ in turns():  # what comes together counts as one
            if sandbox.daemon.poll() is not None:
                break
            sandbox.croze("stop")
        client.communicate(timeout=PATIENCE_S)
    assert client.returncode == 1
    sandbox.daemon = None


def other_runtime(sandbox: Sandbox) -> dict[str, str]:
    """A user whose own daemon would listen elsewhere, with the same state."""
    return {"CROZE_RUNTIME_DIR": str(sandbox.path / "elsewhere")}


def test_a_daemon_that_was_started_by_hand_is_used(sandbox: Sandbox) -> None:
    done = sandbox.croze("images", env=other_runtime(sandbox))
    assert done.code == 0
    assert not (sandbox.path / "elsewhere/crozed.sock").exists()


def test_a_daemon_that_leaves_is_waited_for(sandbox: Sandbox, busybox: Path) -> None:
    with building(sandbox, busybox, "sleep 2") as client:
        assert sandbox.daemon is not None
        sandbox.daemon.send_signal(signal.SIGTERM)
        eventually(lambda: "stopping server" in sandbox.log_text())
        assert sandbox.croze("images", env=other_runtime(sandbox)).code == 0
        assert sandbox.daemon.wait(timeout=PATIENCE_S) == 0
        client.communicate(timeout=PATIENCE_S)
    sandbox.daemon = None
    os.kill(int((sandbox.root / "crozed.pid").read_text()), signal.SIGTERM)
    assert sandbox.wait_no_leftovers() == []


def test_two_at_once_start_one(stopped: Sandbox) -> None:
    words = [str(CROZE), "images"]
    clients = [subprocess.Popen(words, env=stopped.env, stdout=subprocess.PIPE) for _ in range(3)]
    for client in clients:
        client.communicate(timeout=PATIENCE_S)
    assert [client.returncode for client in clients] == [0, 0, 0]
    log = (stopped.root / "crozed.log").read_text()
    assert log.count("running server on") == 1, log
    os.kill(int((stopped.root / "crozed.pid").read_text()), signal.SIGTERM)


def test_what_an_upgrade_has_put_in_place_is_not_loaded(stopped: Sandbox) -> None:
    """It fits nothing of what is. What is loaded goes on, and the daemon leaves in good order."""
    installed = Path(croze.__file__).parent
    other = stopped.path / "installation"
    shutil.copytree(installed, other)
    script = f'mount --bind {other} {installed}; exec "$@"'
    stopped.prefix = ("unshare", "-m", "sh", "-c", script, "sh")
    stopped.start()
    context = stopped.context("c", {"Dockerfile": "FROM scratch\nCOPY f /\n", "f": "1"})
    stopped.croze("build", context)
    upgraded = other / "upgraded.py"
    upgraded.write_text((other / "version.py").read_text() + "\n# A later one.\n")
    upgraded.rename(other / "version.py")
    (context / "f").write_text("2")
    stopped.croze("build", context)
    done = stopped.croze("images", check=False)
    assert "Croze has been installed anew since this daemon was started: restart it" in done.stderr
    assert stopped.stop() == 0
