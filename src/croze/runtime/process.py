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
from collections.abc import AsyncIterator, Coroutine, Sequence
from typing import Self

from croze.runtime.contract import Stdio
from croze.runtime.null import opened_null
from croze.runtime.streams import DescriptorReader, feed
from croze.runtime.terminal import ConsoleSocket

TERMINAL_PATIENCE_S = 1.0
"""How long a process in the background may keep a terminal open after the end."""


class ChildProcess:
    """Start with `spawn`; `wait` once; `close` always."""

    def __init__(self, popen: subprocess.Popen[bytes], readers: Sequence[DescriptorReader]) -> None:
        self._popen = popen
        self._readers = list(readers)
        self._terminal: DescriptorReader | None = None
        self._console: ConsoleSocket | None = None
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

    @property
    def succeeded(self) -> bool:
        """Whether it has ended, with 0."""
        return self._popen.returncode == 0

    @classmethod
    def spawn(cls, argv: Sequence[str], stdio: Stdio, *, tty: bool) -> Self:
        """Start `argv`, with pipes or a terminal of its own. Blocks for the `vfork` only. Raises
        OSError when it can't be executed."""
        return cls._spawn_tty(argv, stdio) if tty else cls._spawn_pipes(argv, stdio)

    @classmethod
    def _spawn_pipes(cls, argv: Sequence[str], stdio: Stdio) -> Self:
        out_read, out_write = os.pipe2(os.O_CLOEXEC)
        err_read, err_write = os.pipe2(os.O_CLOEXEC)
        in_read, in_write = os.pipe2(os.O_CLOEXEC) if stdio.stdin else (opened_null(), -1)
        try:
            popen = _popen(argv, in_read, out_write, err_write)
        except BaseException:
            for fd in (out_read, err_read, in_write):
                if fd >= 0:
                    os.close(fd)
            raise
        finally:
            for fd in (out_write, err_write, in_read):
                os.close(fd)
        readers = (
            DescriptorReader(out_read, stdio.stdout, stdio.backlog),
            DescriptorReader(err_read, stdio.stderr, stdio.backlog),
        )
        self = cls(popen, readers)
        if stdio.stdin is not None:
            self._own(feed(stdio.stdin, in_write), in_write)
        return self

    @classmethod
    def _spawn_tty(cls, argv: Sequence[str], stdio: Stdio) -> Self:
        master, slave = os.openpty()
        try:
            popen = _popen(argv, slave, slave, slave)
        except BaseException:
            os.close(master)
            raise
        finally:
            os.close(slave)
        self = cls(popen, ())
        self._attach(master, stdio)
        return self

    @classmethod
    def spawn_with_console(cls, argv: Sequence[str], stdio: Stdio, console: ConsoleSocket) -> Self:
        """Start an OCI runtime that makes the terminal and sends it to `console`, whose folder is
        its working directory. Takes the console over."""
        err_read, err_write = os.pipe2(os.O_CLOEXEC)
        quiet = opened_null()
        try:
            popen = _popen(argv, quiet, quiet, err_write, cwd=str(console.folder))
        except BaseException:
            os.close(err_read)
            console.close()
            raise
        finally:
            os.close(err_write)
            os.close(quiet)
        self = cls(popen, (DescriptorReader(err_read, stdio.stderr, stdio.backlog),))
        self._console = console
        console.on_terminal(lambda master: self._attach(master, stdio))
        return self

    def _attach(self, master: int, stdio: Stdio) -> None:
        """Connect a terminal to the streams; takes the descriptor over."""
        feed_fd, size_fd = os.dup(master), os.dup(master)
        self._terminal = DescriptorReader(master, stdio.stdout, stdio.backlog)
        self._readers.append(self._terminal)
        if stdio.stdin is not None:
            self._own(feed(stdio.stdin, feed_fd), feed_fd)
        else:
            os.close(feed_fd)
        if stdio.resize is not None:
            self._own(self._follow_size(stdio.resize, size_fd), size_fd)
        else:
            os.close(size_fd)

    def _own(self, work: Coroutine[None, None, None], fd: int) -> None:
        """Run `work` until `close`; `fd` is closed when it ends, or never began."""
        task = asyncio.get_running_loop().create_task(work)
        task.add_done_callback(lambda _: os.close(fd))
        self._tasks.append(task)

    def accompany(self, work: Coroutine[None, None, None]) -> None:
        """Run `work` until `close`."""
        self._tasks.append(asyncio.get_running_loop().create_task(work))

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
        await self._end_terminal()
        for reader in self._readers:
            reader.drain()
        code = self._popen.wait()
        return code if code >= 0 else 128 - code

    async def _end_terminal(self) -> None:
        """A terminal says that it has ended once the kernel has passed on all that was written."""
        if self._console is not None:
            self._console.close()
        if self._terminal is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._terminal.ended.wait(), TERMINAL_PATIENCE_S)

    async def close(self) -> None:
        """Kill what still runs and let go of everything. Idempotent."""
        if self.running:
            self.signal(signal.SIGKILL)
            await asyncio.shield(self._exited)
        if self._console is not None:
            self._console.close()
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


def _popen(
    argv: Sequence[str], stdin: int, stdout: int, stderr: int, *, cwd: str | None = None
) -> subprocess.Popen[bytes]:
    """All descriptors of ours are close-on-exec, so that none needs closing in the child. What an
    OCI runtime makes in a container, such as mount points, has modes as anywhere; ours has not."""
    return subprocess.Popen(
        argv,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        cwd=cwd,
        start_new_session=True,
        close_fds=False,
        umask=0o022,
    )
