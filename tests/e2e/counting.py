"""A daemon that counts what it does: `python counting.py COUNTS -m croze.daemon ...`.

On SIGUSR2 the file COUNTS gets, as JSON, how much of each kind there was since the last time:
SQLite statements and commits, calls of the gRPC server, HTTP requests, work given to threads and to
worker processes, processes started, files synchronized, objects left to Python's collector; with
CROZE_COUNT_FUNCTIONS also the functions that the main thread called; and what the kernel counts of
the process (proc_pid_io(5)).
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import json
import os
import runpy
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from croze.daemon.telemetry.calls import WatchedCalls
from croze.fs.tree.usage import usage
from croze.http.daemon import HttpClient
from croze.workers.messages import WorkerCall
from croze.workers.pool import WorkerPool

found: Counter[str] = Counter()


def is_measuring(call: WorkerCall, *_: object) -> bool:
    """Of what builds have left on the disk, for the collector: it comes when it comes."""
    return call.function is usage


def counted(owner: Any, name: str, kind: str, but: Callable[..., bool] = lambda *_: False) -> None:
    """Count the calls of a method, but for some, by their arguments."""
    original: Callable[..., Any] = getattr(owner, name)

    def call(*args: Any, **kwargs: Any) -> Any:
        found[kind] += not but(*args[1:])
        return original(*args, **kwargs)

    setattr(owner, name, call)


def traced(connect: Callable[..., sqlite3.Connection]) -> Callable[..., sqlite3.Connection]:
    """Connections that count statements."""

    def connecting(*args: Any, **kwargs: Any) -> sqlite3.Connection:
        connection = connect(*args, **kwargs)
        connection.set_trace_callback(statement)
        return connection

    return connecting


USAGE = "INSERT OR REPLACE INTO usage"
"""Which records an earlier build has used is written down with others, one statement each, seconds
after it: that comes when it comes."""


def statement(text: str) -> None:
    if not text.startswith(USAGE):
        found["commits" if text.startswith("COMMIT") else "statements"] += 1


def garbage(phase: str, info: dict[str, int]) -> None:
    found["garbage"] += info.get("collected", 0) if phase == "stop" else 0


def function(frame: FrameType, event: str, arg: object) -> None:
    found["functions"] += event in ("call", "c_call")


def io() -> dict[str, int]:
    pairs = (line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return {key: int(value) for key, value in pairs}


def main() -> None:
    target, _, module, *words = sys.argv[1:]
    sqlite3.connect = traced(sqlite3.connect)  # type: ignore[assignment]
    counted(concurrent.futures.ThreadPoolExecutor, "submit", "threads")
    counted(asyncio.BaseEventLoop, "create_task", "tasks")
    counted(subprocess.Popen, "__init__", "processes")
    counted(os, "fsync", "fsyncs")
    counted(os, "fdatasync", "fsyncs")
    counted(WorkerPool, "_hold", "workers", but=is_measuring)
    counted(WatchedCalls, "watching", "calls")
    counted(HttpClient, "_once", "requests")
    gc.callbacks.append(garbage)
    if os.environ.get("CROZE_COUNT_FUNCTIONS"):
        sys.setprofile(function)
    before = io()

    def tell(*_: object) -> None:
        nonlocal before
        gc.collect()
        now = io()
        kernel = {"reads": "syscr", "writes": "syscw", "read bytes": "rchar"}
        counts = dict(found) | {name: now[key] - before[key] for name, key in kernel.items()}
        temporary = Path(f"{target}.new")
        temporary.write_text(json.dumps(counts))
        temporary.replace(target)
        found.clear()
        before = io()

    signal.signal(signal.SIGUSR2, tell)
    sys.argv = [module, *words]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
