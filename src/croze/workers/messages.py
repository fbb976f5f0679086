"""What the daemon and a worker say to each other: frames of a head and a pickle.

A worker runs our own code, so its pickles are as good as the daemon's.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, TypeAlias

from msgspec import Struct

HEAD = struct.Struct(">Q?")
"""How many bytes follow, and whether they are a call."""


class WorkerCall(Struct, frozen=True):
    """Run a function, or hold a conversation with one, which then gets somebody to ask."""

    function: Callable[..., Any]
    args: tuple[object, ...]
    kwargs: dict[str, object]
    conversation: bool = False
    cpu_s: int = 0
    """How much it may compute, in seconds; 0 for any amount. It dies of more."""


class CallOutcome(Struct, frozen=True):
    """What the function returned or raised."""

    value: object = None
    error: BaseException | None = None


class WorkerQuestion(Struct, frozen=True):
    """A question of the function in between."""

    id: int
    question: object


class WorkerAnswer(Struct, frozen=True):
    """What the daemon says to it."""

    id: int
    value: object = None
    error: BaseException | None = None


Message: TypeAlias = WorkerCall | CallOutcome | WorkerQuestion | WorkerAnswer


def pack(message: Message) -> bytes:
    """The frame. Raises what `pickle` does."""
    import pickle

    data = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    return HEAD.pack(len(data), isinstance(message, WorkerCall)) + data


def unpack(data: bytes | bytearray) -> Message:
    import pickle

    message = pickle.loads(data)
    assert isinstance(message, WorkerCall | CallOutcome | WorkerQuestion | WorkerAnswer)
    return message
