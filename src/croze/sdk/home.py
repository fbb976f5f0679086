"""Where a builder may be used: in the process, and on the event loop, that it was made in."""

from __future__ import annotations

import asyncio
import os

from croze.errors import InvalidRequest

FORKED = (
    "this builder belongs to the process that this one was forked from, and does not survive that: "
    "start processes by 'spawn' or 'forkserver', and connect there"
)
CLOSED = "this builder is closed: its block has ended"
_ELSEWHERE = "this builder belongs to another event loop: connect on each"


class Home:
    """The process and the event loop that a builder was made in."""

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._loop = asyncio.get_running_loop()
        self.closed = False

    def check(self) -> None:
        """See that we are in the builder's process and on its loop, and that it is not closed: gRPC
        would wait for ever, or say something that nobody understands. Raises `InvalidRequest`."""
        if os.getpid() != self._pid:
            raise InvalidRequest(FORKED)
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            loop = None
        if loop is not self._loop:
            raise InvalidRequest(_ELSEWHERE)
        if self.closed:
            raise InvalidRequest(CLOSED)
