"""Work, counted: what a busy machine does not change."""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import pytest


def calls_of(work: Callable[[], object]) -> int:
    """How many functions, Python's and C's, `work` calls in this thread."""
    count = 0

    def note(frame: FrameType, event: str, arg: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def unmeasured() -> dict[str, str]:
    """The environment of a process whose work is counted: `make coverage` measures those that it
    tells so, which is work, too."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}


class Steps:
    """Instructions of SQLite's virtual machine: how much it looks at, whatever it finds."""

    def __init__(self) -> None:
        self.count = 0

    def of(self, work: Callable[[], object]) -> int:
        """How many `work` takes."""
        before = self.count
        work()
        return self.count - before

    def note(self) -> int:
        self.count += 1
        return 0


@contextmanager
def told_statements() -> Iterator[list[str]]:
    """What SQLite is told on all connections that are opened inside."""
    told: list[str] = []
    connect = sqlite3.connect

    def connecting(*args: Any, **kwargs: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*args, **kwargs)
        connection.set_trace_callback(told.append)
        return connection

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite3, "connect", connecting)
        yield told


@contextmanager
def counted_steps() -> Iterator[Steps]:
    """Of all connections that are opened inside."""
    steps, connect = Steps(), sqlite3.connect

    def connecting(*args: Any, **kwargs: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*args, **kwargs)
        connection.set_progress_handler(steps.note, 1)
        return connection

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite3, "connect", connecting)
        yield steps
