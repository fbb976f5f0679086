"""A terminal without a screen: what a person would see of what was written."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import termios
from typing import BinaryIO

import pyte


class Emulator:
    """A pseudo-terminal; `out` is the end that a program writes to."""

    def __init__(self, columns: int = 80, rows: int = 24) -> None:
        self._master, slave = pty.openpty()
        self.out: BinaryIO = os.fdopen(slave, "wb")
        self._screen = pyte.HistoryScreen(columns, rows, history=1000)
        self._stream = pyte.ByteStream(self._screen)
        self.heard = b""
        self.resize(columns, rows)

    def resize(self, columns: int, rows: int) -> None:
        size = struct.pack("4H", rows, columns, 0, 0)
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, size)
        self._screen.resize(rows, columns)

    def read(self, pause_s: float = 0.1) -> list[str]:
        """Take in what comes, which may take its time to begin, until nothing has come for a while;
        the lines that are shown."""
        timeout_s = 2.0
        while select.select([self._master], [], [], timeout_s)[0]:
            data = os.read(self._master, 65536)
            self.heard += data
            self._stream.feed(data)
            timeout_s = pause_s
        return self.lines()

    def lines(self) -> list[str]:
        """The screen, without the empty rows at its end."""
        lines = [line.rstrip() for line in self._screen.display]
        while lines and not lines[-1]:
            lines.pop()
        return lines

    def scrolled(self) -> list[str]:
        """What has left the screen at its top."""
        rows = self._screen.history.top
        return ["".join(row[x].data for x in range(self._screen.columns)).rstrip() for row in rows]

    def close(self) -> None:
        self.out.close()
        os.close(self._master)
