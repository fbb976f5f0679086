"""`crozed` itself: the addresses it listens on, and what it says when it can't start."""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.app import base
from tests.e2e.certificates import certificates
from tests.e2e.sandbox import BUILDX, Sandbox, execute
from tests.support.waiting import PATIENCE_S, free_port

DAEMON: list[str | Path] = [sys.executable, "-m", "croze.daemon"]
ACTIVATE = """\
import os, socket, sys
if sys.argv[1].isdigit():
    listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
else:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(sys.argv[1])
    listener.listen()
os.dup2(listener.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[2], sys.argv[2:])
"""


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--addr", "foo://x"], "addr foo://x not supported: use unix://, tcp:// or fd://"),
        (["--addr", "tcp://300.0.0.1:1"], "cannot listen on tcp://300.0.0.1:1"),
        (["--addr", "npipe://x"], "addr npipe://x not supported: use unix://, tcp:// or fd://"),
        (["--addr", "/x"], "address /x does not contain proto, you meant unix:///x ?"),
        (["--addr", "fd://"], "no sockets found via socket activation"),
        (["--addr", "tcp://127.0.0.1:0", "--tlscert", "no"], "you must specify key and cert file"),
        (
            ["--addr", "tcp://127.0.0.1:0", "--tlscert=no", "--tlskey=no"],
            "could not load server key pair",
        ),
        (["--config", "/proc"], "failed to load config from /proc: Is a directory"),
        (["--group", "nogrp"], "group: unknown group nogrp"),
        (
            ["--oci-worker-net=cni", "--oci-cni-config-path=/none/cni.json"],
            "failed to load CNI config /none/cni.json: No such file or directory",
        ),
        (["--nope"], "flag provided but not defined: -nope"),
        (["--root", "/proc/none"], "directory /proc/none can't be used: no such file"),
        (["--allow-insecure-entitlement", "x"], "invalid entitlement : x"),
    ],
)
def test_what_stops_it_is_one_message(stopped: Sandbox, flags: list[str], message: str) -> None:
    done = execute([*DAEMON, "--root", stopped.root, *flags], stopped.env, check=False)
    assert done.code == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("name", "what"), [("store.db", "the store"), ("why.db", "records of past builds")]
)
def test_a_database_that_can_not_be_opened(stopped: Sandbox, name: str, what: str) -> None:
    """The second is looked at when the daemon answers already."""
    stopped.root.mkdir(0o700)
    path = stopped.root / name
    path.mkdir()
    flags = ("--root", stopped.root, "--addr", stopped.address)
    done = execute([*DAEMON, *flags], stopped.env, check=False)
    assert done.code == 1
    assert f"{what}, {path}: unable to open database file" in done.stderr
    assert "Traceback" not in done.stderr


def test_it_takes_all_descriptors_it_may_have(stopped: Sandbox, busybox: Path) -> None:
    """As buildkitd does: containers inherit it there, too."""
    stopped.prefix = ("prlimit", "--nofile=256:4096")
    stopped.start()
    stopped.prefix = ()
    assert stopped.daemon is not None
    mine = Path(f"/proc/{stopped.daemon.pid}/limits").read_text()
    (line,) = [each.split() for each in mine.splitlines() if each.startswith("Max open files")]
    assert line[3:5] == ["4096", "4096"]
    lines = ["FROM base AS made", "RUN echo $(ulimit -Sn) $(ulimit -Hn) > /limits", "FROM scratch"]
    dockerfile = "\n".join([*lines, "COPY --from=made /limits /"])
    context = stopped.context("limits", {"Dockerfile": dockerfile})
    out = stopped.path / "out"
    stopped.croze("build", *base(busybox), "-o", out, context)
    assert (out / "limits").read_text() == "4096 4096\n"


def test_root_without_its_privileges(stopped: Sandbox) -> None:
    drop = ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin"]
    done = execute([*drop, *DAEMON, "--root", stopped.root], stopped.env, check=False)
    assert done.code == 1
    assert "Operation not permitted: crozed needs CAP_SYS_ADMIN, or another user" in done.stderr


def test_one_daemon_for_a_root_and_a_socket(sandbox: Sandbox, tmp_path: Path) -> None:
    done = execute(
        [*DAEMON, "--root", sandbox.root, "--addr", f"unix://{tmp_path}/other"],
        sandbox.env,
        check=False,
    )
    assert done.code == 1
    assert "another instance running?" in done.stderr
    other = tmp_path / "other-root"
    done = execute([*DAEMON, "--root", other, "--addr", sandbox.address], sandbox.env, check=False)
    assert done.code == 1
    assert f"another daemon listens on {sandbox.socket}" in done.stderr


def build_through(sandbox: Sandbox, address: str) -> None:
    context = sandbox.context("small", {"Dockerfile": "FROM scratch\nCOPY Dockerfile /\n"})
    out = sandbox.path / "out"
    sandbox.croze("--builder", address, "build", "-o", out, context)
    assert (out / "Dockerfile").exists()


@contextlib.contextmanager
def activated(stopped: Sandbox, where: str, *flags: str) -> Iterator[None]:
    """A daemon that was passed a socket at a path, or a port; it must end well."""
    words: list[str | Path] = [sys.executable, "-c", ACTIVATE, where, *DAEMON, "--addr", "fd://"]
    process = subprocess.Popen(
        [*words, "--root", "relative", *flags],
        env=stopped.env,
        cwd=stopped.path,
        stderr=subprocess.PIPE,
    )
    with process:
        try:
            assert process.stderr is not None
            lines = iter(process.stderr.readline, b"")
            assert any(b"running server on fd://" in line for line in lines)
            yield
        finally:
            process.terminate()
        assert b"Traceback" not in process.stderr.read()
    assert process.returncode == 0


def test_a_socket_from_systemd(stopped: Sandbox) -> None:
    path = stopped.path / "passed.sock"
    with activated(stopped, str(path)):
        build_through(stopped, f"unix://{path}")


def test_a_tcp_socket_from_systemd_is_for_those_with_a_certificate(stopped: Sandbox) -> None:
    certificates(stopped.path)
    port = free_port()
    tls = ["--tlscert=server.pem", "--tlskey=server.key", "--tlscacert=ca.pem"]
    with activated(stopped, str(port), *tls):
        assert protocol(stopped.path, port, "client") == "h2"
        assert protocol(stopped.path, port, "") is None


def protocol(folder: Path, port: int, name: str) -> str | None:
    """What a client with the certificate `name`, or without, speaks; None if it is turned away."""
    context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    context.set_alpn_protocols(["h2"])
    if name:
        context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
    with (
        contextlib.suppress(OSError),
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secured,
    ):
        # In TLS 1.3 a refusal is the first thing to be read; HTTP/2 wants to be greeted.
        secured.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\4" + bytes(5))
        return secured.selected_alpn_protocol() if secured.recv(1) else None
    return None


def test_tls_is_mutual(stopped: Sandbox) -> None:
    certificates(stopped.path)
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    tls = ["--tlscert", stopped.path / "server.pem", "--tlskey", stopped.path / "server.key"]
    tls += ["--tlscacert", stopped.path / "ca.pem"]
    stopped.start("--addr", address, *map(str, tls))
    options = {"cacert": "ca.pem", "cert": "client.pem", "key": "client.key"}
    driver = ",".join(f"{key}={stopped.path / name}" for key, name in options.items())
    buildx = BUILDX["sid"]
    create = ["create", "--driver", "remote", "--name", "tls", "--driver-opt"]
    execute([buildx, *create, f"{driver},servername=localhost", address], stopped.env)
    context = stopped.context("small", {"Dockerfile": "FROM scratch\nCOPY Dockerfile /\n"})
    out = stopped.path / "out"
    execute([buildx, "--builder", "tls", "build", "-o", out, context], stopped.env)
    assert (out / "Dockerfile").exists()
    assert stopped.croze("--builder", address, "images", check=False).code == 1
    assert stopped.stop() == 0
