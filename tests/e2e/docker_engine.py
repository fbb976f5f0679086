"""A daemon with Docker's API on a socket, and its clients."""

from __future__ import annotations

import http.client
import io
import json
import socket
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.e2e.images import busybox_layer
from tests.e2e.sandbox import BUILDX, COMPOSE, Done, Sandbox, execute

DOCKER = ("docker", "/usr/bin/docker")
"""The one on PATH and Debian's."""


class Engine:
    """A daemon with Docker's API on a socket, and clients that are told of it."""

    def __init__(self, sandbox: Sandbox, path: Path) -> None:
        self.sandbox = sandbox
        self.path = path
        plugins = sandbox.path / ".docker/cli-plugins"
        plugins.mkdir(parents=True)
        (plugins / "docker-buildx").symlink_to(BUILDX["trixie"])
        (plugins / "docker-compose").symlink_to(COMPOSE)
        self.env = {**sandbox.env, "DOCKER_HOST": f"unix://{path}"}

    def docker(self, *words: str | Path, client: str = "docker", check: bool = True) -> Done:
        return execute([client, *words], self.env, check=check)

    def ask(self, method: str, path: str) -> tuple[http.client.HTTPResponse, bytes]:
        return ask(self.path, method, path)


def ask(at: Path, method: str, path: str) -> tuple[http.client.HTTPResponse, bytes]:
    """A request to an engine's socket."""
    connection = http.client.HTTPConnection("docker")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(at))
    with connection.sock:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer, answer.read()


@contextmanager
def running_engine(folder: Path, *flags: str) -> Iterator[Engine]:
    """Nothing of it is left afterwards, and no traceback in its log."""
    sandbox = Sandbox(folder)
    path = sandbox.path / "docker.sock"
    host = f"--docker-api=unix://{path}"
    with sandbox.running(host, *flags):
        yield Engine(sandbox, path)
    assert not path.exists()


def small_context(engine: Engine) -> Path:
    """A few steps that need nothing from anywhere."""
    busybox = Path("/bin/busybox").read_bytes()
    lines = ["FROM scratch", "COPY --chmod=755 busybox /bin/sh", "LABEL made=here"]
    lines += ['RUN ["/bin/sh", "-c", "echo hi > /hi"]', "COPY f /f", 'CMD ["/bin/sh"]', ""]
    files: dict[str, str | bytes] = {"Dockerfile": "\n".join(lines), "f": "f\n", "busybox": busybox}
    return engine.sandbox.context("api", files)


def tar_of(files: Mapping[str, str | bytes], mode: str = "w") -> bytes:
    """A context as clients send it."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:  # type: ignore[call-overload]
        for name, text in files.items():
            data = text.encode() if isinstance(text, str) else text
            info = tarfile.TarInfo(name)
            info.size = len(data)
            info.mode = 0o755 if data[:4] == b"\x7fELF" else 0o644
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


BUSYBOX = 'FROM scratch\nADD layer.tar /\nENV PATH=/bin\nCMD ["sh"]\n'


def make_busybox(at: Path, name: str = "busybox") -> None:
    """An image with a shell, by whatever engine is there."""
    context = tar_of({"Dockerfile": BUSYBOX, "layer.tar": busybox_layer()})
    told = build(at, context, t=name)[1]
    assert "Successfully built" in json.dumps(told), told


Json = Any
"""A value that an engine answers; tests know what they look for."""


def call(
    at: Path, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> tuple[int, list[Json]]:
    """Any request of version 1.41: the status, and the lines of the answer."""
    connection = http.client.HTTPConnection("docker")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(at))
    with connection.sock:
        connection.request(method, f"/v1.41{path}", body, dict(headers or {}))
        with connection.getresponse() as answer:
            return answer.status, [json.loads(line) for line in answer.read().splitlines()]


def build(
    at: Path, context: bytes, headers: Mapping[str, str] | None = None, /, **query: str
) -> tuple[int, list[Json]]:
    """`POST /build` as before BuildKit."""
    return call(at, "POST", f"/build?{urlencode(query)}", context, headers)
