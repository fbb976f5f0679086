"""The warm process: runs `croze` commands for its user, each in a forked child.

It has imported everything a command needs, has done it before, and has nothing open: no event loop,
no connection, no thread, so that a fork is safe and takes milliseconds. One child is forked ahead
of need and gets ready as far as it can (`preload.rehearse`); an accepted caller is handed to it
whole. The warm process leaves when idle, when its installation changes on disk, or when its socket
is taken away. There is one for each installation and place that commands come from, up to a few.

The other end, and the protocol, is `croze.cli.thin`; of a start in bash, `slots`.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import TypeAlias

from croze.cli.surroundings import program, short_name, surroundings
from croze.cli.warm.children import Children
from croze.cli.warm.request import INSTALLATION
from croze.cli.warm.shell_caller import may_look_into_callers
from croze.cli.warm.slots import Slots, take_away
from croze.drivers.places import WARM_PREFIX, runtime_dir, warm_socket
from croze.files.locks import locked
from croze.files.own import own_dir
from croze.files.watching import DirWatch

IDLE_TIMEOUT_S = 900.0
LOOK_EVERY_S = 60.0
WAITING = 128
"""Callers that may come at once; others run their commands themselves."""
JUST_S = 0.01
"""Less than an interpreter takes to start."""
QUIET_S = 0.05
"""When nothing has happened for so long, there is time to have more children ready."""
REHEARSALS = 12
"""Before it is called so often, code changes as it is run (PEP 659), which children would copy."""
MOST_WARM_PROCESSES = 4
"""As many as one user has: each has some 60 MB."""


FileMark: TypeAlias = tuple[int, int, int]
"""What tells a file from one in its place: two versions of an installation may have their times
from the same archive, but nobody sets a ctime."""


def mark(path: str) -> FileMark:
    """The mark of a file as it is. Raises `OSError`."""
    status = os.stat(path)
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size


def loaded_code() -> list[tuple[str, FileMark]]:
    """The files of this installation that are loaded, and how each is marked."""
    marks = []
    for name, module in list(sys.modules.items()):
        path = getattr(module, "__file__", None)
        if path and name.partition(".")[0] == "croze":
            with contextlib.suppress(OSError):
                marks.append((path, mark(path)))
    return marks


def unchanged(code: list[tuple[str, FileMark]]) -> bool:
    """Whether these files are as they were: by this an upgrade is noticed."""
    try:
        return all(mark(path) == marked for path, marked in code)
    except OSError:
        return False


class Installed:
    """The installation that this process has loaded, looked at for every caller: as a whole by the
    kernel's word, where that is to be had, and file by file when the kernel has seen something, or
    nobody waits."""

    def __init__(self) -> None:
        self._watch = self._watched()
        self._code = loaded_code()
        self._place = self._found()

    def _watched(self) -> DirWatch | None:
        try:
            return DirWatch({os.path.dirname(path) for path, _ in loaded_code()})
        except OSError:
            return None  # there are too many of them already, or not all would be seen

    def _found(self) -> tuple[int, int]:
        """What is at the package's path: nothing stirs in a directory above which one is moved."""
        status = os.stat(os.path.dirname(os.path.dirname(os.path.dirname(__file__))))
        return status.st_dev, status.st_ino

    def is_current(self) -> bool:
        """Whether it is as it was."""
        try:
            is_calm = self._watch is not None and not self._watch.stirred()
            return (is_calm and self._found() == self._place) or self.is_the_same()
        except OSError:
            return False

    def is_the_same(self) -> bool:
        """Whether it is as it was, by a look at each file."""
        return unchanged(self._code)


class Lately:
    """Remembers for a moment that a look was well, so that callers who come at once are one
    question."""

    def __init__(self, look: Callable[[], bool]) -> None:
        self._look = look
        self._seen_s = -JUST_S

    def current(self) -> bool:
        if time.monotonic() - self._seen_s > JUST_S:
            if not self._look():
                return False
            self._seen_s = time.monotonic()
        return True


def preload_all() -> None:
    """Import what commands need, and do it. Nothing of it may be left: no thread, no connection."""
    from croze.cli.warm import preload

    # What stays is no garbage: a collection would only make children copy its pages.
    gc.disable()
    preload.everything()
    preload.rehearse(REHEARSALS)
    gc.collect()
    gc.freeze()
    gc.enable()


def answers(path: str) -> bool:
    """Whether a live process listens there. One that is stopped is there, too, and takes as many
    as may wait."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        return probe.connect_ex(path) in (0, errno.EAGAIN)


def listen(path: str) -> socket.socket | None:
    """The warm socket, or None when a live process already answers there, or enough others live.
    What dead ones left behind goes."""
    folder = os.path.dirname(path)
    with locked(f"{folder}/warm.lock"):
        names = [name for name in os.listdir(folder) if name.startswith(WARM_PREFIX)]
        sockets = [f"{folder}/{name}" for name in names if name.endswith(".sock")]
        live = {each for each in sockets if answers(each)}
        for each in set(sockets) - live:
            os.unlink(each)
        for name in names:
            if f"{folder}/{name.partition('.')[0]}.sock" not in live:
                take_away(f"{folder}/{name}")
        if len(live) >= MOST_WARM_PROCESSES or path in live:
            return None
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(path)
        listener.listen(WAITING)
    return listener


def slots_beside(path: str) -> Slots | None:
    """The slots of the process with that socket, named for the installation, too: that is all that
    the start in bash knows. None where they are of no use or can't be had."""
    name = short_name(program())
    try:
        return Slots(f"{path.removesuffix('.sock')}.{name}") if may_look_into_callers() else None
    except OSError:
        return None


def main() -> int:
    """Run until idle. Started detached by the first full `croze` command."""
    os.umask(0o077)  # nobody else may connect from the moment on that something is there
    own_dir(runtime_dir())
    path = warm_socket(short_name(INSTALLATION + surroundings()))
    if answers(path):
        return 0
    preload_all()
    listener = listen(path)
    if listener is None:
        return 0
    slots = slots_beside(path)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    inode, installed = os.stat(path).st_ino, Installed()
    look = Lately(lambda: _still_ours(path, inode) and installed.is_current())
    try:
        answer_callers(
            listener,
            slots,
            look.current,
            lambda: _still_ours(path, inode) and installed.is_the_same(),
        )
    finally:
        if _still_ours(path, inode):
            os.unlink(path)
            if slots is not None:
                slots.remove()
    return 0


def answer_callers(
    listener: socket.socket,
    slots: Slots | None,
    current: Callable[[], bool],
    current_by_each_file: Callable[[], bool],
) -> None:
    """Hand callers to children until nobody came for long, or until we are out of date. By each
    file that is found out when nobody waits for it."""
    children = Children(listener, slots)
    children.make_spares()
    doors = [listener.fileno()] if slots is None else [listener.fileno(), slots.ask]
    last_s = looked_s = time.monotonic()
    while time.monotonic() - last_s < IDLE_TIMEOUT_S:
        watched = [*doors, *children.fds()]
        is_short = children.is_short
        ready, _, _ = select.select(watched, [], [], QUIET_S if is_short else LOOK_EVERY_S)
        if not ready and not current_by_each_file():
            return
        if not ready and is_short:
            children.make_spares()
            continue
        if not ready:
            children.want_few()
        if slots is not None and time.monotonic() - looked_s > LOOK_EVERY_S:
            looked_s = time.monotonic()
            slots.renew_forgotten()
        # The doors last: who is let in may get a descriptor that has just been closed.
        for fd in sorted(ready, key=doors.__contains__):
            last_s = time.monotonic()
            if fd not in doors:
                children.ended(fd)
            elif not _let_in(fd, listener, slots, children, current):
                return


def _let_in(
    door: int,
    listener: socket.socket,
    slots: Slots | None,
    children: Children,
    current: Callable[[], bool],
) -> bool:
    """Hand over who has come by that descriptor; whether this process is still current."""
    if slots is not None and door == slots.ask:
        return all(children.take_on_ask(ask, current) for ask in slots.asks())
    connection, _ = listener.accept()
    with connection:
        return children.take_on(connection, current)


def _still_ours(path: str, inode: int) -> bool:
    try:
        return os.stat(path).st_ino == inode
    except OSError:
        return False


if __name__ == "__main__":
    sys.exit(main())
