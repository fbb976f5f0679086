"""`croze build --load` sends a Docker engine the layers that it lacks, and no others."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from tests.e2e.docker_engine import running_engine
from tests.e2e.dockerd import own_dockerd, own_podman
from tests.e2e.images import busybox
from tests.e2e.sandbox import Sandbox, execute

MEGABYTE = 1 << 20


class Counter:
    """Passes connections on to a socket, and counts what is sent to it."""

    def __init__(self, listener: socket.socket, to: str) -> None:
        self.sent = 0
        self.before_load: Callable[[], object] | None = None
        """What comes between a client's questions and its image."""
        self._listener = listener
        self._to = to

    def run(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._pass_on, args=(client,)).start()

    def _pass_on(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as server:
            server.connect(self._to)
            back = threading.Thread(target=self._pump, args=(server, client, False))
            back.start()
            self._pump(client, server, True)
            back.join()

    def _pump(self, source: socket.socket, target: socket.socket, count: bool) -> None:
        try:
            while data := source.recv(1 << 16):
                if count and self.before_load is not None and data.startswith(b"POST /images/load"):
                    act, self.before_load = self.before_load, None
                    act()
                self.sent += len(data) if count else 0
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # the other side has gone


@contextmanager
def counting(path: Path, to: str) -> Iterator[Counter]:
    with closing(socket.socket(socket.AF_UNIX)) as listener:
        listener.bind(str(path))
        listener.listen()
        counter = Counter(listener, to)
        thread = threading.Thread(target=counter.run)
        thread.start()
        try:
            yield counter
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


@dataclass(frozen=True)
class Engine:
    """Where images are loaded, and the words before its own commands."""

    host: str
    command: list[str]


@contextmanager
def engine(kind: str, folder: Path) -> Iterator[Engine]:
    if kind == "podman":
        with own_podman(folder) as (host, command):
            yield Engine(host, command)
        return
    if kind == "crozed":
        with running_engine(folder) as other:
            host = f"unix://{other.path}"
            yield Engine(host, ["docker", "-H", host])
        return
    with own_dockerd(folder, containerd_store=kind == "containerd") as host:
        yield Engine(host, ["docker", "-H", host])


DOCKERFILE = "FROM scratch\nCOPY --chmod=755 sh /bin/sh\nCOPY big /\nCOPY line /\n"


@dataclass
class Loading:
    """Builds that are loaded into an engine, and how much that was sent for them."""

    sandbox: Sandbox
    engine: Engine
    counter: Counter
    folder: Path
    context: Path
    said: str = ""
    """By the client, in the last build."""

    def its(self, *words: str | Path) -> str:
        """What the engine's own client says."""
        return execute([*self.engine.command, *words], os.environ).stdout

    def load(self, line: str) -> int:
        """Build with this line, see that the engine has it, under both names; the bytes sent."""
        (self.context / "line").write_text(line)
        before = self.counter.sent
        metadata = self.folder / "metadata.json"
        words = ["-o", "type=docker,context=default", "-t", "app", "-t", "app:other"]
        words += ["--metadata-file", str(metadata)]
        self.said = self.sandbox.croze("build", *words, self.context).stderr
        container = self.its("create", "app:other", "/bin/sh").strip()
        self.its("cp", f"{container}:/line", self.folder / "line")
        self.its("rm", container)
        assert (self.folder / "line").read_text() == line
        names = json.loads(metadata.read_text())["image.name"]
        assert names == "docker.io/library/app:latest,docker.io/library/app:other"
        return self.counter.sent - before

    def forget(self, *, prunes: bool) -> None:
        self.its("rmi", "-f", *self.its("images", "-aq").split())
        if prunes:
            self.its("builder", "prune", "--all", "--force")


@pytest.mark.parametrize("kind", ["dockerd", "containerd", "podman", "crozed"])
def test_only_what_the_engine_lacks_is_sent(
    kind: str, sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("engine")
    with (
        engine(kind, folder) as loaded,
        counting(folder / "counted", loaded.host.removeprefix("unix://")) as counter,
    ):
        sandbox.extra_env["DOCKER_HOST"] = f"unix://{folder}/counted"
        files: dict[str, str | bytes] = {"Dockerfile": DOCKERFILE, "line": "one\n"}
        files |= {"sh": busybox().read_bytes(), "big": os.urandom(8 * MEGABYTE)}
        where = sandbox.context("load", files)
        loading = Loading(sandbox, loaded, counter, folder, where)
        assert loading.load("one\n") > 8 * MEGABYTE
        assert loading.load("two\n") < MEGABYTE // 2, loading.said
        # It is whole all the same.
        saved = folder / "saved.tar"
        loading.its("save", "-o", saved, "app")
        assert saved.stat().st_size > 8 * MEGABYTE
        # What the engine has lost, at the last moment even, is sent again.
        # `crozed` keeps content for builds.
        counter.before_load = partial(loading.forget, prunes=kind == "crozed")
        assert loading.load("three\n") > 8 * MEGABYTE
        # A layer in the middle that is new: those above it are new, where chains count.
        (where / "Dockerfile").write_text(DOCKERFILE.replace("755", "700"))
        assert (loading.load("three\n") > 8 * MEGABYTE) == (kind == "dockerd")
