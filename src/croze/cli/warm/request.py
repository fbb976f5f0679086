"""What a caller of the warm process wants: one command, to be run as in the caller's process."""

from __future__ import annotations

import os
import sys
import time

from msgspec import Struct

from croze.cli.surroundings import installation
from croze.files.standard import print_bytes_as_they_are, standard_error

INSTALLATION = installation()
"""Ours, as it was when this process started; `preload_all` adds to the environment."""


class BadRequest(Exception):
    """A request that is not our start's, or from another installation or another place."""


class WarmRequest(Struct, frozen=True):
    """One command, as its caller would have run it. The descriptors are this process's own."""

    argv: list[str]
    umask: int
    environ: dict[bytes, bytes]
    streams: tuple[int, int, int]
    directory: int

    def close(self) -> None:
        """Close all descriptors but those that are in their places."""
        for fd in (*self.streams, self.directory):
            if fd > 2:
                os.close(fd)


def become(request: WarmRequest) -> None:
    """Turn this forked child into the process that the caller would have been."""
    for number, fd in enumerate(request.streams):
        os.dup2(fd, number)
    os.fchdir(request.directory)
    request.close()
    os.umask(request.umask)
    os.environb.clear()
    os.environb.update(request.environ)
    time.tzset()
    sys.stdin = os.fdopen(0, "r", closefd=False)
    sys.stdout = os.fdopen(1, "w", closefd=False)
    print_bytes_as_they_are()
    sys.stderr = standard_error()
    sys.argv = ["croze", *request.argv]
