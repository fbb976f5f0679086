"""Lend directories and files by handle to a daemon on the same host, both ends. Croze's own.

When it opens the session, the client names an abstract Unix socket and a token in a header. The
daemon connects at once (`session.visit`), and asks there for directories and files as builds want
them: it shows the token, and is handed what it asks for, open.

Each end asks the kernel who the other is. From an open directory one can climb to the root that it
is below: so the client hands it only to its own user or root, and only to a process in its own
mount namespace and with its own root, which sees all that anyway. (The daemon has a mount namespace
of its own, and a process outside that connects for it.) That the client has the directory open
proves the client may read it, but a daemon may be able to read more below it: so it takes the offer
only from its own user or from root. Whatever goes wrong, the caller falls back to a transfer, which
also tells what is wrong with a directory.

Each direction is one packet. The question: the token, `d`, `t` or `f`, and the name of a local
source, or the index of an exporter into a directory or a file. The answer: one of the letters
below, with the directory or file attached. A file is lent while the call is open that it is sent
by: what is written to it need not be sent, and the call's end says as ever that all is there.
"""

from __future__ import annotations

import asyncio
import fcntl
import hmac
import os
import secrets
import socket
import stat
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from msgspec import Struct

from croze.aio.threads import in_thread
from croze.files.peers import sees_our_files
from croze.session.contract import Session
from croze.session.directories import make_directory
from croze.session.lent_service import Handler
from croze.session.packets import fresh_name
from croze.session.visit import HEADER, Answer

TOKEN_BYTES = 16
PACKET_BYTES = 4096

REFUSED, LENT, LENT_TO_DELETE = b"n", b"y", b"d"

Lend = Callable[[socket.socket, asyncio.Future[int]], None]
"""Hands a file over to who has asked for it, once it is open."""


# -- the daemon's end ------------------------------------------------------------------------


class HostFile(Struct, frozen=True):
    """A file of the client, open here. Close it, or use it as a context manager."""

    fd: int

    @property
    def path(self) -> str:
        """A path to it that also works in child processes, as long as it is open here."""
        return f"/proc/{os.getpid()}/fd/{self.fd}"

    def close(self) -> None:
        os.close(self.fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class HostDir(HostFile, frozen=True):
    """A directory of the client, open here."""

    delete_extra: bool = False
    """On a target: whether what the export lacks is to be removed."""


async def open_dir(session: Session, name: str) -> HostDir | None:
    """A local source of the client; None if it can't be had this way."""
    return await _open_dir(session, f"d{name}")


async def open_target(session: Session, exporter_id: int) -> HostDir | None:
    """The directory of a `local` exporter at the client; None if it can't be had this way."""
    return await _open_dir(session, f"t{exporter_id}")


@asynccontextmanager
async def open_file(session: Session, exporter_id: int) -> AsyncIterator[HostFile | None]:
    """The file of an exporter whose call has begun, empty, inside; None if it can't be had this
    way."""
    visit = session.host.another()  # it is only opened when the client is asked for its target
    try:
        lent = _lent(await visit.ask(f"f{exporter_id}"))
    finally:
        visit.close()
    if lent is None:
        yield None
        return
    file = HostFile(lent[0])
    try:
        # In threads: a file may be one of a file system that does not answer.
        yield file if await in_thread(_may_be_written, file.fd) else None
    finally:
        await in_thread(file.close)


def _may_be_written(fd: int) -> bool:
    """Whether a client has a file open for writing. It is opened anew by who writes it, who may do
    more than the client, and would wait for the reader of a pipe."""
    mode = fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE
    return mode != os.O_RDONLY and stat.S_ISREG(os.fstat(fd).st_mode)


async def _open_dir(session: Session, question: str) -> HostDir | None:
    lent = _lent(await session.host.ask(question))
    return HostDir(lent[0], lent[1] == LENT_TO_DELETE) if lent is not None else None


def _lent(answer: Answer | None) -> tuple[int, bytes] | None:
    """The descriptor that was lent, and the letter that says what it is of."""
    if answer is None or answer[1] is None:
        return None
    return answer[1], answer[0]


def _packets() -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    sock.setblocking(False)
    return sock


# -- the client's end ------------------------------------------------------------------------


class LocalTarget(Struct, frozen=True):
    """Where a `local` exporter writes."""

    path: Path
    delete_extra: bool = False


class OpenFiles(Protocol):
    """The files that exporters write, as `providers.targets.TargetsProvider` knows them."""

    def opened(self, id: int) -> asyncio.Future[int]:
        """The descriptor of the exporter's file, which is open until its call has ended; -1 for
        what is none that can be lent."""


class HostDirProvider:
    """Lends directories by name, and the targets of exporters by index."""

    service = "croze.v1.HostDir"

    def __init__(
        self,
        dirs: Mapping[str, Path],
        targets: Mapping[int, LocalTarget] | None = None,
        files: OpenFiles | None = None,
    ) -> None:
        self._dirs = dict(dirs)
        self._targets = dict(targets or {})
        self._files = files

    def methods(self) -> Mapping[str, Handler]:
        """No methods: open files can't be passed over gRPC."""
        return {}

    @contextmanager
    def announced(self) -> Iterator[Mapping[str, str]]:
        """Answer on a socket, in the running loop, those who see our files already; the header that
        tells where."""
        name, token = fresh_name(), secrets.token_bytes(TOKEN_BYTES)
        with _packets() as listener:
            listener.bind(f"\0{name}")
            listener.listen()
            with _Visitors(listener, partial(self._answered, token)).admitted():
                yield {HEADER: f"{name} {token.hex()}"}

    def _answered(self, token: bytes, sock: socket.socket, packet: bytes, lend: Lend) -> bool:
        """Whether all is said; what is still to be opened, `lend` hands over later. Raises
        `OSError` and `ValueError`."""
        question = _question(packet, token)
        if question.startswith("f") and self._files is not None:
            self._files.opened(int(question[1:])).add_done_callback(partial(lend, sock))
            return False
        self._answer(sock, question)
        return True

    def _answer(self, sock: socket.socket, question: str) -> None:
        """Hand out the directory that is asked for."""
        target = self._asked_for(question) if question else None
        if target is None:
            sock.send(REFUSED)
            return
        try:
            fd = os.open(target.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            sock.send(REFUSED)
            return
        try:
            socket.send_fds(sock, [LENT_TO_DELETE if target.delete_extra else LENT], [fd])
        finally:
            os.close(fd)

    def _asked_for(self, question: str) -> LocalTarget | None:
        kind, name = question[:1], question[1:]
        if kind == "d":
            return LocalTarget(self._dirs[name]) if name in self._dirs else None
        target = self._targets.get(int(name))
        if target is not None:
            make_directory(target.path, 0o700)
        return target


class _Visitors:
    """Whoever asks on a socket, if it sees our files: as much as it likes, up to a file, which is
    the last that it is lent."""

    def __init__(
        self, listener: socket.socket, answer: Callable[[socket.socket, bytes, Lend], bool]
    ) -> None:
        self._listener = listener
        self._answer = answer
        self._loop = asyncio.get_running_loop()
        self._asking: set[socket.socket] = set()

    @contextmanager
    def admitted(self) -> Iterator[None]:
        """Answer visitors while inside; then none is left."""
        self._loop.add_reader(self._listener, self._accept)
        try:
            yield
        finally:
            self._loop.remove_reader(self._listener)
            for sock in tuple(self._asking):
                self._leave(sock)

    def _accept(self) -> None:
        with suppress(OSError):
            sock = self._listener.accept()[0]
            if not sees_our_files(sock):
                sock.close()
                return
            sock.setblocking(False)
            self._asking.add(sock)
            self._loop.add_reader(sock, self._hear, sock)

    def _hear(self, sock: socket.socket) -> None:
        """Who takes no answers gets none."""
        try:
            while packet := _received(sock):
                if not self._answer(sock, packet, self._lend):
                    self._loop.remove_reader(sock)
                    return
            if packet is None:
                return
        except (OSError, ValueError):
            pass
        self._leave(sock)

    def _lend(self, sock: socket.socket, file: asyncio.Future[int]) -> None:
        if sock in self._asking:
            with suppress(OSError):
                _lend(sock, file.result())
            self._leave(sock)

    def _leave(self, sock: socket.socket) -> None:
        self._asking.remove(sock)
        self._loop.remove_reader(sock)
        sock.close()


def _received(sock: socket.socket) -> bytes | None:
    """A packet; empty at the end, None if there is none yet. Raises `OSError`."""
    try:
        return sock.recv(PACKET_BYTES)
    except BlockingIOError:
        return None


def _question(packet: bytes, token: bytes) -> str:
    """What the daemon asks for. Raises `ValueError` for who does not know the token."""
    if not hmac.compare_digest(packet[:TOKEN_BYTES], token):
        raise ValueError
    return packet[TOKEN_BYTES:].decode()


def _lend(sock: socket.socket, fd: int) -> None:
    if fd < 0:
        sock.send(REFUSED)
    else:
        socket.send_fds(sock, [LENT], [fd])
