"""What a container says: kept in a file, and passed on to who listens.

The file has a JSON object a line, as Docker's `json-file` driver writes it. Listeners get frames of
one stream in which standard output and error are told apart by a header (Docker Engine API,
"Attach to a container"); a terminal has one stream and no frames.
"""

from __future__ import annotations

import asyncio
import base64
import os
import struct
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from croze.aio.backlog import Backlog
from croze.aio.threads import in_thread
from croze.engineapi.times import rfc3339
from croze.gotypes import gojson
from croze.store.disk import disk_errors

STDOUT, STDERR = 1, 2
READ_BYTES = 1 << 18


class LogEntry(msgspec.Struct, omit_defaults=True):
    """A piece of output, as it is in the file. `raw` is base64 of what is no UTF-8."""

    stream: int
    time_ns: int
    log: str = ""
    raw: str = ""

    @property
    def data(self) -> bytes:
        """The piece as it came."""
        return base64.b64decode(self.raw) if self.raw else self.log.encode()


def entry_of(stream: int, data: bytes) -> LogEntry:
    try:
        return LogEntry(stream, time.time_ns(), log=data.decode())
    except UnicodeDecodeError:
        return LogEntry(stream, time.time_ns(), raw=base64.b64encode(data).decode())


def framed(entry: LogEntry, *, tty: bool, timestamps: bool = False) -> bytes:
    """A piece of output as it goes to a client."""
    data = entry.data
    if timestamps:
        data = rfc3339(entry.time_ns).encode() + b" " + data
    return data if tty else struct.pack(">BxxxI", entry.stream, len(data)) + data


class Listener:
    """Pieces of output on their way to one client."""

    def __init__(self, backlog: Backlog, streams: Sequence[int]) -> None:
        self._queue: asyncio.Queue[LogEntry | None] = asyncio.Queue()
        self._backlog = backlog
        self._streams = streams
        self._waiting = 0

    def put(self, entry: LogEntry | None) -> None:
        if entry is not None:
            if entry.stream not in self._streams:
                return
            self._waiting += len(entry.data)
            self._backlog.grew(len(entry.data))
        self._queue.put_nowait(entry)

    async def entries(self) -> AsyncIterator[LogEntry]:
        """The pieces as they come, until the container has ended."""
        while (entry := await self._queue.get()) is not None:
            yield entry
            size = len(entry.data)
            self._waiting -= size
            self._backlog.shrank(size)

    def close(self) -> None:
        """Drop what waits: nobody reads it."""
        self._backlog.shrank(self._waiting)
        self._waiting = 0


class ContainerOutput:
    """The output of one container. Nothing is lost between the file and those who begin to
    listen."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.backlog = Backlog()
        self._listening: set[Listener] = set()
        self._file = -1

    def open(self) -> None:
        """Open the file: a container has started."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        with disk_errors("failed to open the container's log"):
            self._file = os.open(self.path, flags, 0o600)
            if self.size() and _read_at(self.path, self.size() - 1, 1) != b"\n":
                os.write(self._file, b"\n")  # half a line: see `kept`

    def stdout(self, data: bytes) -> None:
        self._said(entry_of(STDOUT, data))

    def stderr(self, data: bytes) -> None:
        self._said(entry_of(STDERR, data))

    def _said(self, entry: LogEntry) -> None:
        if self._file >= 0:
            os.write(self._file, msgspec.json.encode(entry) + b"\n")
        for listener in self._listening:
            listener.put(entry)

    def end(self) -> None:
        """Note that the container has ended: listeners get what is left, and no more.
        Idempotent."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        for listener in self._listening:
            listener.put(None)

    @contextmanager
    def listening(self, streams: Sequence[int]) -> Iterator[Listener]:
        """A listener to what comes from now on."""
        listener = Listener(self.backlog, streams)
        self._listening.add(listener)
        try:
            yield listener
        finally:
            self._listening.discard(listener)
            listener.close()

    async def kept(self, limit_bytes: int) -> AsyncIterator[LogEntry]:
        """The pieces of output so far, which are the first bytes of the file."""
        rest, at = b"", 0
        while at < limit_bytes:
            data = await in_thread(_read_at, self.path, at, min(READ_BYTES, limit_bytes - at))
            if not data:
                return
            at += len(data)
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                try:
                    yield gojson.unmarshal(line, type=LogEntry)
                except (msgspec.MsgspecError, RecursionError):
                    continue  # half of it was written when the disk was full, or the daemon died

    def size(self) -> int:
        """How much the file holds, in bytes."""
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0


def _read_at(path: Path, at: int, size: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(at)
            return file.read(size)
    except FileNotFoundError:
        return b""
