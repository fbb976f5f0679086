"""A child process whose output is pumped to callbacks on the event loop.

Built for a quick start: one `vfork`, no thread and no helper process; the end is seen through a
pidfd (`pidfd_open(2)`, Linux 5.3).
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import struct
import subprocess
import termios
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import Self

from croze.runtime.contract import Stdio

CHUNK_BYTES = 64 << 10


class _Reader:
    """Feeds what arrives on a descriptor to a callback until its end."""

    def __init__(self, fd: int, callback: Callable[[bytes], None]) -> None:
        self._fd = fd
        self._callback = callback
        self._loop = asyncio.get_running_loop()
        os.set_blocking(fd, False)
        self._loop.add_reader(fd, self._ready)

    def _ready(self) -> bool:
        """Read once; False when there is nothing more now."""
        try:
            data = os.read(self._fd, CHUNK_BYTES)
        except BlockingIOError:
            return False
        except OSError:  # a terminal whose other side is gone answers EIO
            data = b""
        if data:
            self._callback(data)
            return True
        self.close()
        return False

    def drain(self) -> None:
        """Deliver what is there already, then close."""
        while self._fd >= 0 and self._ready():
            pass
        self.close()

    def close(self) -> None:
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1


async def _write_all(fd: int, data: bytes) -> None:
    """Write to a non-blocking descriptor."""
    loop = asyncio.get_running_loop()
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:
            writable = asyncio.Event()
            loop.add_writer(fd, writable.set)
            try:
                await writable.wait()
            finally:
                loop.remove_writer(fd)


async def _feed(source: AsyncIterator[bytes], fd: int) -> None:
    """Standard input; a reader that has gone away ends it."""
    os.set_blocking(fd, False)
    with contextlib.suppress(BrokenPipeError):
        async for data in source:
            await _write_all(fd, data)


class ChildProcess:
    """Start with `spawn`; `wait` once; `close` always."""

    def __init__(self, popen: subprocess.Popen[bytes], readers: Sequence[_Reader]) -> None:
        self._popen = popen
        self._readers = readers
        self._tasks: list[asyncio.Task[None]] = []
        self._pidfd = os.pidfd_open(popen.pid)
        self._exited: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().add_reader(self._pidfd, self._on_exit)

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def running(self) -> bool:
        return not self._exited.done()

    @classmethod
    def spawn(cls, argv: Sequence[str], stdio: Stdio, *, tty: bool) -> Self:
        """Start `argv`. Blocks for the `vfork` only. Raises OSError when it can't be executed."""
        return cls._spawn_tty(argv, stdio) if tty else cls._spawn_pipes(argv, stdio)

    @classmethod
    def _spawn_pipes(cls, argv: Sequence[str], stdio: Stdio) -> Self:
        out_read, out_write = os.pipe2(os.O_CLOEXEC)
        err_read, err_write = os.pipe2(os.O_CLOEXEC)
        in_read, in_write = os.pipe2(os.O_CLOEXEC) if stdio.stdin else (subprocess.DEVNULL, -1)
        try:
            popen = subprocess.Popen(
                argv,
                stdin=in_read,
                stdout=out_write,
                stderr=err_write,
                start_new_session=True,
                close_fds=False,  # ours are close-on-exec
            )
        except BaseException:
            for fd in (out_read, err_read, in_write):
                if fd >= 0:
                    os.close(fd)
            raise
        finally:
            for fd in (out_write, err_write, in_read):
                if fd >= 0:
                    os.close(fd)
        self = cls(popen, (_Reader(out_read, stdio.stdout), _Reader(err_read, stdio.stderr)))
        if stdio.stdin is not None:
            self._own(_feed(stdio.stdin, in_write), in_write)
        return self

    @classmethod
    def _spawn_tty(cls, argv: Sequence[str], stdio: Stdio) -> Self:
        master, slave = os.openpty()
        try:
            popen = subprocess.Popen(
                argv,
                stdin=slave,
                stdout=slave,
                stderr=slave,
                start_new_session=True,
                close_fds=False,
            )
        except BaseException:
            os.close(master)
            raise
        finally:
            os.close(slave)
        feed_fd, size_fd = os.dup(master), os.dup(master)
        self = cls(popen, (_Reader(master, stdio.stdout),))
        if stdio.stdin is not None:
            self._own(_feed(stdio.stdin, feed_fd), feed_fd)
        else:
            os.close(feed_fd)
        if stdio.resize is not None:
            self._own(self._follow_size(stdio.resize, size_fd), size_fd)
        else:
            os.close(size_fd)
        return self

    def _own(self, work: Coroutine[None, None, None], fd: int) -> None:
        """Run `work` until `close`; `fd` is closed when it ends, or never began."""
        task = asyncio.get_running_loop().create_task(work)
        task.add_done_callback(lambda _: os.close(fd))
        self._tasks.append(task)

    async def _follow_size(self, sizes: AsyncIterator[tuple[int, int]], fd: int) -> None:
        """Keep the terminal as large as the client's."""
        async for rows, columns in sizes:
            fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            self.signal(signal.SIGWINCH)

    def _on_exit(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        if not self._exited.done():
            self._exited.set_result(None)

    def signal(self, number: int) -> None:
        """Signal the process itself; a no-op after its end."""
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)

    async def ended(self) -> None:
        """Wait for the end of the process, leaving its output alone."""
        await asyncio.shield(self._exited)

    async def wait(self) -> int:
        """The exit code, 128 + n for a signal; all output was delivered."""
        await asyncio.shield(self._exited)
        for reader in self._readers:
            reader.drain()
        code = self._popen.wait()
        return code if code >= 0 else 128 - code

    async def close(self) -> None:
        """Kill what still runs and let go of everything. Idempotent."""
        if self.running:
            self.signal(signal.SIGKILL)
            await asyncio.shield(self._exited)
        for reader in self._readers:
            reader.drain()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        self._popen.wait()
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1
