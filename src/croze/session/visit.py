"""The daemon's connection to the place where a client on its machine lends what is open
(`session.hostdir`): one for all that is asked there while the session lasts."""

from __future__ import annotations

import asyncio
import os
import socket
from collections import deque
from contextlib import suppress

from croze.aio.descriptors import receive_fd
from croze.files.peers import is_own_or_roots
from croze.session.packets import Dial

HEADER = "x-croze-host-dirs"
"""A session's header: the name of that place, and the token that is to be shown there."""
TIMEOUT_S = 5.0
ANSWER_BYTES = 1

Answer = tuple[bytes, int | None]
"""A letter, and the descriptor that came with it."""


class HostVisit:
    """Asks, of a client that has named such a place. Questions may be asked before others are
    answered; a connection that fails is made anew for the next one."""

    def __init__(self, header: str, dial: Dial) -> None:
        """`header`: the place and its token, as the client says them; empty if it lends nothing
        this way."""
        self._name, _, token = header.partition(" ")
        self._token = b""
        with suppress(ValueError):
            self._token = bytes.fromhex(token)
        self._dial = dial
        self._header = header
        self._connecting = asyncio.Lock()
        self._sock: socket.socket | None = None
        self._waiting: deque[asyncio.Future[Answer]] = deque()

    def another(self) -> HostVisit:
        """A connection for a question whose answer may take long; to be closed."""
        return HostVisit(self._header, self._dial)

    async def begin(self) -> None:
        """Connect, so that the first question need not wait for that."""
        if self._token:
            with suppress(OSError, TimeoutError, ValueError):
                async with asyncio.timeout(TIMEOUT_S):
                    await self._connected()

    async def ask(self, question: str) -> Answer | None:
        """What the client says. None if it can't be asked, or is nobody to take something from."""
        if not self._token:
            return None
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        sock: socket.socket | None = None
        try:
            async with asyncio.timeout(TIMEOUT_S):
                sock = await self._connected()
                sock.send(self._token + question.encode())
                self._waiting.append(answer)
                return await answer
        except (OSError, TimeoutError, ValueError):
            _drop(answer)
            self._hang_up(sock)  # an answer that comes after all would be taken for the next one's
            return None
        except asyncio.CancelledError:
            _drop(answer)
            raise

    def close(self) -> None:
        """Give no more answers, for those who wait for one either. Idempotent."""
        self._token = b""
        self._hang_up(self._sock)

    def _hang_up(self, sock: socket.socket | None) -> None:
        """End this connection, unless that has been done: there may be another by now."""
        if sock is None or sock is not self._sock:
            return
        self._sock = None
        asyncio.get_running_loop().remove_reader(sock)
        sock.close()
        while self._waiting:
            answer = self._waiting.popleft()
            if not answer.done():
                answer.set_exception(ConnectionResetError("the client has hung up"))

    async def _connected(self) -> socket.socket:
        """The connection, made if there is none. Raises `OSError`."""
        async with self._connecting:
            if self._sock is None:
                sock = await self._dial(self._name)
                try:
                    self._check(sock)
                except OSError:
                    sock.close()
                    raise
                sock.setblocking(False)
                self._sock = sock
                asyncio.get_running_loop().add_reader(sock, self._hear, sock)
            return self._sock

    def _check(self, sock: socket.socket) -> None:
        """See that something may be asked on a connection. Raises `OSError` if not."""
        if not self._token:
            raise ConnectionAbortedError("the session has ended meanwhile")
        if not is_own_or_roots(sock):
            raise PermissionError("it lends what is not its own")

    def _hear(self, sock: socket.socket) -> None:
        try:
            while True:
                answer, fd = receive_fd(sock, ANSWER_BYTES)
                if not answer or not self._waiting:
                    break
                self._give(answer, fd)
            if fd is not None:
                os.close(fd)
        except BlockingIOError:
            return
        except OSError:
            pass
        self._hang_up(sock)

    def _give(self, answer: bytes, fd: int | None) -> None:
        waiting = self._waiting.popleft()
        if not waiting.done():
            waiting.set_result((answer, fd))
        elif fd is not None:
            os.close(fd)


def _drop(answer: asyncio.Future[Answer]) -> None:
    """Nobody takes it any more, though it may have come just now."""
    if answer.done() and not answer.cancelled() and answer.exception() is None:
        _, fd = answer.result()
        if fd is not None:
            os.close(fd)
