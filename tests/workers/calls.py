"""Functions for workers to run in tests."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal

from croze.errors import InvalidRequest, NotFound, VertexDetail
from croze.workers.pool import Ask

_KEPT: list[bytes] = []


class Awkward(Exception):
    """Can be pickled, but not read back."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} {second}")


class Absent:
    """Of a module that is not there."""


def echo(data: bytes) -> bytes:
    return data


def leave_memory() -> int:
    """Free 20 MB, below something that stays."""
    pieces = [bytearray(100_000) for _ in range(200)]
    _KEPT.append(bytes(100_000))
    pieces.clear()
    return os.getpid()


def keep_memory() -> int:
    """As Python does of what many small objects were in."""
    _KEPT.append(b"x" * 20_000_000)
    return os.getpid()


def limits() -> tuple[tuple[int, int], ...]:
    """Those of a conversation."""
    return resource.getrlimit(resource.RLIMIT_CPU), resource.getrlimit(resource.RLIMIT_DATA)


def fail(message: str) -> None:
    raise NotFound(message, VertexDetail("sha256:0"))


def fail_awkwardly() -> None:
    raise Awkward("gone", "wrong")


def fail_kindly() -> None:
    raise InvalidRequest("bad")


def kill_self() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def announce_and_hang(path: str) -> None:
    with open(path, "w") as out:
        out.write(str(os.getpid()))
    signal.pause()


async def ask_all(ask: Ask, questions: list[object]) -> list[object]:
    return list(await asyncio.gather(*map(ask, questions)))


async def ask_pid(ask: Ask) -> int:
    await ask(1)
    return os.getpid()


async def ask_and_leave(ask: Ask) -> int:
    """End while a question has no answer yet."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.05):
            await ask(1)
    return os.getpid()


async def compute_for_ever(ask: Ask) -> None:
    while True:
        pass
