"""The user's terminal while a monitor has it: keys as they are typed, and what is shown."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Iterator

from croze.errors import InvalidRequest
from croze.fs.filecopy import write_all

CHUNK_BYTES = 32 << 10
_CHUNKS_MOST = 16


class Keyboard:
    """Standard input, as keys are typed. One thread reads it, for as long as there is one to read
    for."""

    def __init__(self) -> None:
        self._heard: asyncio.Queue[bytes] = asyncio.Queue()
        self._free = threading.Semaphore(_CHUNKS_MOST)
        self._started = False

    async def read(self) -> bytes:
        """What has been typed; nothing at the end."""
        if not self._started:
            self._started = True
            loop = asyncio.get_running_loop()
            # A daemon thread: a blocked read of a terminal must not keep the command from ending.
            reading = threading.Thread(target=self._read_all, args=[loop], daemon=True)
            reading.start()
        heard = await self._heard.get()
        self._free.release()
        if not heard:
            self._heard.put_nowait(b"")
        return heard

    def _read_all(self, loop: asyncio.AbstractEventLoop) -> None:
        data = b"-"
        with contextlib.suppress(RuntimeError):  # the loop has ended
            while data:
                self._free.acquire()  # what nobody takes stays with who types it
                try:
                    data = os.read(0, CHUNK_BYTES)
                except OSError:
                    data = b""
                loop.call_soon_threadsafe(self._heard.put_nowait, data)


@contextlib.contextmanager
def raw() -> Iterator[None]:
    """Keys go through as they are; lines still end as usual. Raises `InvalidRequest` if there is
    no terminal."""
    import termios
    import tty

    fd = next((each for each in (2, 1, 0) if os.isatty(each)), None)
    if fd is None:
        raise InvalidRequest("failed to get console: provided file is not a console")
    saved = termios.tcgetattr(fd)
    tty.setraw(fd)
    mode = termios.tcgetattr(fd)
    mode[1] |= termios.OPOST
    termios.tcsetattr(fd, termios.TCSADRAIN, mode)
    try:
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, saved)


def show(data: bytes, fd: int = 1) -> None:
    """Write to the terminal, at once and in order."""
    write_all(fd, data)


def say(text: str) -> None:
    show(text.encode(errors="surrogateescape"))


def size() -> tuple[int, int] | None:
    """The terminal's rows and columns, if they are known."""
    for fd in (1, 0, 2):
        with contextlib.suppress(OSError):
            columns, rows = os.get_terminal_size(fd)
            return rows, columns
    return None
