"""How the start of `croze` in bash (scripts/quick_start.bash) reaches the warm process.

A shell has no sockets and makes no FIFO without a program, but opens files. So there is a directory
with as many slots as may call at once. Each is a FIFO named for its number, which the warm process
holds open for writing: by its end, or that of the child that it has given the descriptor to, it is
known that there is nobody (any more). A caller

- opens a slot's FIFO for reading, and claims the slot by making `N.taken`, which only one can;
- writes a line to the FIFO `ask`: the slot, its process, the number of its arguments, and which of
  its descriptors are the slot's FIFO and the three streams (0 to 2 are others in a shell that
  writes). All else is read from the process: see `shell_caller`;
- reads `A PID` when the command was taken on by that process, and `X CODE` when it is over;
- may make `N.begun` when there is no answer for long, and then runs the command itself: the process
  that takes it on makes it before it says so.

`pid` is the warm process, for who finds it stopped. After each call the slot is made anew, so that
nobody who has kept the old FIFO open reads what is another's.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator

from msgspec import Struct

SLOTS = 64
FORGOTTEN_S = 60.0
"""Who claims a slot asks in the next moment, if it lives."""
LONGEST_LINE = 64
"""Seven numbers; a line is written whole (pipe(7), PIPE_BUF)."""


class SlotCall(Struct, frozen=True):
    """What a caller has written."""

    slot: int
    pid: int
    arguments: int
    fd: int
    streams: tuple[int, int, int]

    @classmethod
    def read(cls, line: bytes) -> SlotCall:
        """The call that a line tells. Raises `ValueError`."""
        if len(line) > LONGEST_LINE or not line.replace(b" ", b"").isdigit():
            raise ValueError("no numbers")
        slot, pid, arguments, fd, *streams = map(int, line.split())
        if slot >= SLOTS or not 0 < pid < 2**31:
            raise ValueError("no slot, or no process")
        stdin, stdout, stderr = streams
        return cls(slot, pid, arguments, fd, (stdin, stdout, stderr))

    def line(self) -> bytes:
        numbers = (self.slot, self.pid, self.arguments, self.fd, *self.streams)
        return b" ".join(b"%d" % number for number in numbers)


def begin(folder: str, slot: int) -> bool:
    """Whether the command of a slot's caller is ours to run from now on, and not the caller's."""
    with contextlib.suppress(FileExistsError):
        os.close(os.open(f"{folder}/{slot}.begun", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        return True
    return False


def take_away(folder: str) -> None:
    """Take a directory of slots away, if it is one. Nothing is raised if that can't be done."""
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):
            os.unlink(f"{folder}/{name}")
        os.rmdir(folder)


class Slots:
    """The directory, by the warm process's end."""

    def __init__(self, folder: str) -> None:
        """Make it, in one that is this user's alone; what is there goes. Raises `OSError`."""
        self.folder = folder
        self._rest = b""
        self._free: dict[int, int] = {}
        """Descriptors of the FIFOs, by slots."""
        self._spent: set[int] = set()
        """Slots that are to be made anew."""
        take_away(folder)
        fresh = f"{folder}.new"
        take_away(fresh)
        os.mkdir(fresh, 0o700)
        self.ask = _fifo(f"{fresh}/ask", os.O_RDWR | os.O_NONBLOCK)
        """What is readable when `asks` has some."""
        try:
            with open(f"{fresh}/pid", "x") as file:
                file.write(f"{os.getpid()}\n")
            for slot in range(SLOTS):
                self._free[slot] = _fifo(f"{fresh}/{slot}", os.O_WRONLY)
            os.rename(fresh, folder)  # nobody finds half of it
        except BaseException:
            self.close()
            take_away(fresh)
            raise

    def asks(self) -> Iterator[SlotCall]:
        """What has been asked since."""
        try:
            lines = (self._rest + os.read(self.ask, 65536)).split(b"\n")
        except BlockingIOError:
            return
        self._rest = lines.pop()[: LONGEST_LINE + 1]
        for line in lines:
            with contextlib.suppress(ValueError):
                yield SlotCall.read(line)

    def take(self, slot: int) -> int:
        """The descriptor to answer by; the caller's to close. Raises `KeyError` for one that is
        taken: somebody asks twice, or for another's."""
        return self._free.pop(slot)

    def renew(self, slot: int) -> None:
        """Make a slot for the next caller. If that can't be done now it stays taken."""
        self._spent.add(slot)
        with contextlib.suppress(OSError):
            path = f"{self.folder}/{slot}"
            fresh = _fifo(f"{path}.new", os.O_WRONLY)
            if slot in self._free:
                os.close(self._free[slot])
            self._free[slot] = fresh
            os.rename(f"{path}.new", path)
            for mark in ("begun", "taken"):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(f"{path}.{mark}")
            self._spent.remove(slot)

    def renew_forgotten(self) -> None:
        """Make those slots anew that somebody has claimed, and never asked, and those that could
        not be before."""
        for slot in list(self._spent):
            self.renew(slot)
        for slot in list(self._free):
            with contextlib.suppress(FileNotFoundError):
                if time.time() - os.stat(f"{self.folder}/{slot}.taken").st_mtime > FORGOTTEN_S:
                    self.renew(slot)

    def close(self) -> None:
        """Close the descriptors, as a child has to."""
        for fd in self._free.values():
            os.close(fd)
        os.close(self.ask)

    def remove(self) -> None:
        """Take the directory away."""
        take_away(self.folder)


def _fifo(path: str, flags: int) -> int:
    """A new FIFO, opened. Nobody waits for who opens the other end: it is open already."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    os.mkfifo(path, 0o600)
    both = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        return os.open(path, flags | os.O_CLOEXEC)
    finally:
        os.close(both)
