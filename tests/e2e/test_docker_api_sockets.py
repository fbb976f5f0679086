"""Where Docker's API is served: TCP with certificates, and the socket of a user's own daemon."""

from __future__ import annotations

import grp
import socket
import stat
from contextlib import ExitStack
from pathlib import Path

from croze.engineapi.connections import room
from tests.e2e.certificates import certificates
from tests.e2e.docker_engine import (
    BUSYBOX,
    ask,
    tar_of,
)
from tests.e2e.images import busybox_layer
from tests.e2e.sandbox import BUILDX, Sandbox, execute
from tests.support.waiting import free_port


def test_tcp_with_mutual_tls(tmp_path: Path) -> None:
    certificates(tmp_path)
    port = free_port()
    tls = [f"--{flag}={tmp_path}/{file}" for flag, file in TLS.items()]
    with Sandbox(tmp_path).running(f"--docker-api=tcp://127.0.0.1:{port}", *tls) as sandbox:
        at = ["docker", "-H", f"tcp://127.0.0.1:{port}"]
        ours = [f"--tlscacert={tmp_path}/ca.pem"]
        client_flags = [f"--tlscert={tmp_path}/client.pem", f"--tlskey={tmp_path}/client.key"]
        for mode in (["--tlsverify", *ours], ["--tls"], []):
            assert execute([*at, *mode, "images"], sandbox.env, check=False).code == 1
        trusted = [*at, "--tlsverify", *ours, *client_flags]
        assert "Croze" in execute([*trusted, "version"], sandbox.env).stdout
        tar = tar_of({"Dockerfile": BUSYBOX, "layer.tar": busybox_layer()})
        build = [*trusted, "build", "-t", "busybox", "-"]
        env = {**sandbox.env, "DOCKER_BUILDKIT": "0"}
        assert "Successfully tagged" in execute(build, env, stdin=tar).stdout
        execute([*trusted, "run", "-d", "--name", "one", "busybox", "echo", "hi"], sandbox.env)
        assert execute([*trusted, "logs", "-f", "one"], sandbox.env).stdout == "hi\n"
        run = [*trusted, "run", "--rm", "-i", "busybox", "sh", "-c", "echo hi; cat; exit 5"]
        ran = execute(run, sandbox.env, stdin=b"in\n" * 100000, check=False)
        assert (ran.code, ran.stdout) == (5, "hi\n" + "in\n" * 100000), ran.stderr
        with ExitStack() as stack:
            for _ in range(room() + 5):  # who never says who they are are in nobody's way
                stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            assert "busybox" in execute([*trusted, "images"], sandbox.env).stdout
        plugins = tmp_path / ".docker/cli-plugins"
        plugins.mkdir(parents=True)
        (plugins / "docker-buildx").symlink_to(BUILDX["trixie"])
        where = sandbox.context("tls", {"Dockerfile": "FROM busybox\nLABEL by=buildx\n"})
        execute([*trusted, "build", "-t", "by-buildx", where], sandbox.env)


TLS = {"tlscert": "server.pem", "tlskey": "server.key", "tlscacert": "ca.pem"}


def test_the_users_own_daemon_serves_it_for_a_named_group(tmp_path: Path) -> None:
    """The daemon that `croze` starts has the socket beside its own."""
    sandbox = Sandbox(tmp_path)
    try:
        sandbox.croze("inspect", "--bootstrap")
        path = sandbox.runtime / "docker.sock"
        assert ask(path, "GET", "/_ping")[1] == b"OK"
    finally:
        sandbox.croze("stop")
    assert sandbox.wait_no_leftovers() == []
    with sandbox.running(f"--docker-api=unix://{path}", "--docker-api-group=daemon"):
        assert path.stat().st_gid == grp.getgrnam("daemon").gr_gid
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        assert ask(path, "GET", "/_ping")[1] == b"OK"
