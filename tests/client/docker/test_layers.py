"""Which layers an engine has: one that does not tell, or does not end, holds up no build."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from croze.client.docker import layers
from croze.client.docker.layers import EngineContents, known

PATIENCE_S = 0.3


def silent(client: socket.socket, over: threading.Event) -> None:
    over.wait()


def dripping(client: socket.socket, over: threading.Event) -> None:
    client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while not over.wait(PATIENCE_S / 10):
        client.sendall(b" ")


def endless(client: socket.socket, over: threading.Event) -> None:
    client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while not over.is_set():
        client.sendall(b" " * (1 << 16))


Behaviour = Callable[[socket.socket, threading.Event], None]


@contextlib.contextmanager
def engine(path: Path, behaviour: Behaviour) -> Iterator[None]:
    """One that takes a connection, and behaves so."""
    over = threading.Event()

    def serve() -> None:
        with contextlib.suppress(OSError), listener.accept()[0] as client:
            behaviour(client, over)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            over.set()
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.mark.parametrize("behaviour", [silent, dripping, endless])
def test_an_engine_that_does_not_end(
    behaviour: Behaviour, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layers, "PATIENCE_S", PATIENCE_S if behaviour != endless else 30.0)
    monkeypatch.setattr(layers, "ANSWER_BYTES_MOST", 1 << 20)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/engine")
    with engine(tmp_path / "engine", behaviour):
        begun = time.monotonic()
        assert known("") == EngineContents()
        assert time.monotonic() - begun < 10
