"""Standard streams that whoever started us had closed."""

import os
import sys


def open_standard_streams() -> None:
    """They lead to nowhere, as in Go: else the next files that are opened would have their numbers,
    and be written what is meant for a terminal. The first thing that a program does."""
    if None not in (sys.stdin, sys.stdout, sys.stderr):
        return
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(fd, True)
    os.close(fd)
    sys.stdin = sys.stdin or os.fdopen(0, "r", closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)
