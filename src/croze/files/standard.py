"""Standard streams: closed ones, and those that can't take what is written."""

import io
import os
import sys

TYPE_CHECKING = False  # `typing` is slow to import
if TYPE_CHECKING:
    from typing import TextIO

    from typing_extensions import Buffer


def open_standard_streams() -> None:
    """Closed ones lead to nowhere, as in Go: else the next files that are opened would have their
    numbers, and be written what is meant for a terminal. The first thing that a program does."""
    if None not in (sys.stdin, sys.stdout, sys.stderr):
        return
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(fd, True)
    os.close(fd)
    sys.stdin = sys.stdin or os.fdopen(0, "r", closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)


class _Lossy(io.FileIO):
    """A file as programs in Go write to standard error: what can't be written is lost, and nothing
    ends for it, but where a reader has gone."""

    def write(self, data: "Buffer") -> int:
        remaining = memoryview(data)
        while remaining:
            try:
                count = super().write(remaining)
            except BrokenPipeError:
                raise
            except OSError:
                break
            if count is None:  # it does not block, and is full
                import select

                select.select([], [self], [])
            else:
                remaining = remaining[count:]
        return len(memoryview(data))


def standard_error() -> "TextIO":
    """Standard error that loses what can't be written, for a program whose result is elsewhere; to
    be put in the place of `sys.stderr`."""
    buffer = io.BufferedWriter(_Lossy(2, "wb", closefd=False))
    return io.TextIOWrapper(buffer, "utf-8", "backslashreplace", line_buffering=True)


def print_bytes_as_they_are() -> None:
    """Let standard output have what is not UTF-8 as it was read, in every locale, as in Go. What
    has been printed is written first; that it can't be is told at the end (`flush_output`)."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        try:
            sys.stdout.reconfigure(errors="surrogateescape")
        except OSError:
            return


def flush_output() -> "OSError | None":
    """Why the rest of what was printed could not be written; it is dropped then."""
    if sys.stdout.closed:  # by who had it to himself, as `croze dial-stdio`
        return None
    try:
        sys.stdout.flush()
    except OSError as error:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)  # the interpreter will try again as it ends
        os.close(nowhere)
        return error
    return None


def keep_order() -> None:
    """See that what was printed is written before what goes to standard error from now on: both
    may go to one file. What can't be written is left to `flush_output`."""
    if sys.stdout.closed:
        return
    try:
        sys.stdout.flush()
    except OSError:
        pass
