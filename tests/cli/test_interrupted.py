"""Interrupted work ends with buildx's words, which tell how far it was."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from croze.cli.commands import load
from croze.cli.common import Common
from croze.cli.interrupted import Interruptible
from croze.errors import Canceled


@pytest.fixture(autouse=True)
def interrupts() -> Iterator[None]:
    """An interrupted process takes no other."""
    old = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, old)


@pytest.mark.parametrize(
    ("interruptible", "is_solving", "words"),
    [
        (Interruptible(), False, "Canceled: context canceled"),
        (Interruptible("one"), False, "Canceled: context canceled"),
        (Interruptible(), True, "failed to solve: Canceled: context canceled"),
        (Interruptible("one"), True, "target one: failed to solve: Canceled: context canceled"),
        (Interruptible(work="failed to run"), True, "failed to run: Canceled: context canceled"),
    ],
)
def test_the_words_of_interrupted_work(
    interruptible: Interruptible, is_solving: bool, words: str
) -> None:
    async def work() -> None:
        if is_solving:
            interruptible.solving()
        signal.raise_signal(signal.SIGINT)
        await asyncio.Event().wait()

    with pytest.raises(Canceled) as caught:
        interruptible.run(work())
    assert str(caught.value) == words


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("du", "failed to call diskusage: Canceled: context canceled"),
        ("prune --force", "failed to call prune: Canceled: context canceled"),
        ("history ls", "Canceled: context canceled"),
        ("history rm --all", "Canceled: context canceled"),
        ("history inspect", "Canceled: context canceled"),
        ("history export", "Canceled: context canceled"),
    ],
)
def test_a_daemon_that_does_not_answer(
    command: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUILDX_CONFIG", str(tmp_path))
    path = tmp_path / "silent.sock"
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(path))
        silent.listen()
        name, *rest = command.split()
        with interrupt_on_connection(silent), pytest.raises(Canceled) as caught:
            load(name).run(rest, Common(builder=f"unix://{path}"))
    assert str(caught.value) == words


@contextmanager
def interrupt_on_connection(silent: socket.socket) -> Iterator[None]:
    """Interrupts this process as soon as somebody waits for an answer."""

    def interrupt() -> None:
        with silent.accept()[0] as connection:
            connection.recv(1)
            os.kill(os.getpid(), signal.SIGINT)
            ended.wait()

    ended = threading.Event()
    thread = threading.Thread(target=interrupt)
    thread.start()
    yield
    ended.set()
    thread.join()
