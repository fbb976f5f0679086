"""`croze build --load` sends a Docker engine the layers that it lacks, and no others."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.e2e.dockerd import own_dockerd
from tests.e2e.images import busybox
from tests.e2e.sandbox import Sandbox, execute

MEGABYTE = 1 << 20


class Counter:
    """Passes connections on to a socket, and counts what is sent to it."""

    def __init__(self, listener: socket.socket, to: str) -> None:
        self.sent = 0
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


def test_only_what_the_engine_lacks_is_sent(
    sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("dockerd")
    with (
        own_dockerd(folder) as host,
        counting(folder / "counted", host.removeprefix("unix://")) as counter,
    ):
        sandbox.extra_env["DOCKER_HOST"] = f"unix://{folder}/counted"
        text = "FROM scratch\nCOPY --chmod=755 sh /bin/sh\nCOPY big /\nCOPY line /\n"
        files: dict[str, str | bytes] = {"Dockerfile": text, "line": "one\n"}
        files |= {"sh": busybox().read_bytes(), "big": os.urandom(8 * MEGABYTE)}
        where = sandbox.context("load", files)

        def load(line: str, *words: str) -> int:
            (where / "line").write_text(line)
            before = counter.sent
            into = "type=docker,context=default"
            sandbox.croze("build", "-o", into, "-t", "app", *words, where)
            shown = ["docker", "run", "--rm", "--network=none", "app", "/bin/sh", "-c"]
            assert execute([*shown, "read x < /line; echo $x"], sandbox.env).stdout == line
            return counter.sent - before

        assert load("one\n") > 8 * MEGABYTE
        assert load("two\n") < MEGABYTE // 2
        # What the engine has lost meanwhile is sent again.
        ids = execute(["docker", "images", "-aq"], sandbox.env).stdout.split()
        execute(["docker", "rmi", "-f", *ids], sandbox.env)
        assert load("two\n") > 8 * MEGABYTE
        # A layer in the middle that is new makes those above it new.
        (where / "Dockerfile").write_text(text.replace("755", "700"))
        assert load("two\n") > 8 * MEGABYTE
