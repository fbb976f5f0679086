"""A caller with the start in bash (scripts/quick_start.bash): see `slots` for what it says.

What it wants run is read from its process, which is looked into as a debugger does (ptrace(2),
PTRACE_MODE_ATTACH_REALCREDS). Where the kernel keeps the processes of one user from that, the start
in bash finds nobody to ask.
"""

from __future__ import annotations

import contextlib
import ctypes
import locale
import os
import select
from collections.abc import Iterable

from croze.cli.asking import has_terminal
from croze.cli.surroundings import installation, means_the_same_elsewhere, surroundings
from croze.cli.warm.request import INSTALLATION, BadRequest, WarmRequest
from croze.cli.warm.slots import SlotCall, begin
from croze.cli.warm.stopping import goes_on_by
from croze.version import PLUGIN_NAMES

PIDFD_GETFD = 438
"""pidfd_getfd(2), which has this number on every machine and no name in Python."""
YAMA = "/proc/sys/kernel/yama/ptrace_scope"
OPTION = b"-p"
"""What the script's first line tells bash."""
GROUP, TERMINAL_GROUP = 2, 5
"""Which they are of the fields behind the name in /proc/PID/stat (proc(5))."""
LEGACY_LOCALES = (b"C", b"POSIX")
COERCED_TO = (b"C.UTF-8", b"C.utf8", b"UTF-8")


def may_look_into_callers() -> bool:
    """Whether the kernel lets this process take descriptors of others of its user."""
    try:
        with open(YAMA) as file:
            if file.read().strip() != "0":
                return False
    except OSError:
        pass  # a kernel without it
    try:
        process = os.pidfd_open(os.getpid())
    except OSError:
        return False
    try:
        os.close(_descriptor(process, process))
    except OSError:
        return False
    finally:
        os.close(process)
    return True


class ShellCaller:
    """See `WarmCaller`. `answers` is the slot's FIFO, `process` a pidfd, `folder` the slots'."""

    def __init__(self, folder: str, ask: SlotCall, answers: int, process: int) -> None:
        self._folder, self._ask, self._answers, self._process = folder, ask, answers, process

    def request(self, ours: bytes) -> WarmRequest:
        try:
            return self._request(ours)
        except ValueError as error:
            raise BadRequest(str(error)) from error

    def _request(self, ours: bytes) -> WarmRequest:
        pid, at = str(self._ask.pid), f"/proc/{self._ask.pid}"
        if not os.path.samestat(os.fstat(self._answers), os.stat(f"{at}/fd/{self._ask.fd}")):
            raise BadRequest("in another's name")
        if surroundings(pid, is_bash=True) != ours:
            raise BadRequest("from somewhere else")
        _bash, option, script, *words = _read(f"{at}/cmdline").split(b"\0")[:-1]
        argv = [os.fsdecode(word) for word in words]
        is_plain = option == OPTION and len(argv) == self._ask.arguments
        if not is_plain or not means_the_same_elsewhere(argv):
            raise BadRequest("not to be run elsewhere")
        environ = _environment(_read(f"{at}/environ"))
        if installation(environ) != INSTALLATION:
            environ = coerced(environ)
        if installation(environ) != INSTALLATION:
            raise BadRequest("not of this installation")
        name = os.path.basename(script)
        if os.fsdecode(name) in PLUGIN_NAMES:
            environ[b"CROZE_CALLED_AS"] = name
        request = self._take_over(argv, environ, at)
        if self.signals() is None or _in_background(at, request.streams[0]):
            request.close()
            raise BadRequest("gone, or in the background")
        return request

    def _take_over(self, argv: list[str], environ: dict[bytes, bytes], at: str) -> WarmRequest:
        with contextlib.ExitStack() as descriptors:

            def owned(fd: int) -> int:
                descriptors.callback(os.close, fd)
                return fd

            process, umask = self._process, _umask(at)
            streams = [owned(_descriptor(process, number)) for number in self._ask.streams]
            cwd = owned(os.open(f"{at}/cwd", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
            descriptors.pop_all()
        return WarmRequest(argv, umask, environ, (streams[0], streams[1], streams[2]), cwd)

    def has_terminal(self) -> bool:
        return has_terminal(str(self._ask.pid))

    def take_on(self) -> None:
        if not begin(self._folder, self._ask.slot):
            raise BadRequest("too late")
        goes_on_by(self._answers)
        self._say(f"A {os.getpid()}")

    def fileno(self) -> int:
        return self._process

    def signals(self) -> Iterable[int] | None:
        """No signals in all its life: it sends them itself."""
        poll = select.poll()
        poll.register(self._process, select.POLLIN)
        return None if poll.poll(0) else ()

    def tell(self, code: int) -> None:
        self._say(f"X {code}")

    def _say(self, line: str) -> None:
        os.write(self._answers, f"{line}\n".encode())


def _descriptor(process: int, number: int) -> int:
    """A descriptor of another process's, as one of ours. Raises `OSError`."""
    libc = ctypes.CDLL(None, use_errno=True)
    fd: int = libc.syscall(PIDFD_GETFD, process, number, 0)
    if fd < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return fd


def coerced(environ: dict[bytes, bytes]) -> dict[bytes, bytes]:
    """The environment, with the locale that an interpreter of Python gives itself when it starts in
    that of C, or in one that is not installed (PEP 538)."""
    name = environ.get(b"LC_CTYPE") or environ.get(b"LANG") or b"C"
    if environ.get(b"LC_ALL") or (name not in LEGACY_LOCALES and _is_installed(name)):
        return environ
    return {**environ, b"LC_CTYPE": next(filter(_is_installed, COERCED_TO), name)}


def _is_installed(name: bytes) -> bool:
    before = locale.setlocale(locale.LC_CTYPE, None)
    try:
        locale.setlocale(locale.LC_CTYPE, os.fsdecode(name))
    except (locale.Error, UnicodeError):
        return False
    locale.setlocale(locale.LC_CTYPE, before)
    return True


def _environment(data: bytes) -> dict[bytes, bytes]:
    environ: dict[bytes, bytes] = {}
    for field in data.split(b"\0"):
        key, is_variable, value = field.partition(b"=")
        if key and is_variable:
            environ.setdefault(key, value)  # the first counts, as for getenv(3)
    return environ


def _umask(at: str) -> int:
    for line in _read(f"{at}/status").splitlines():
        if line.startswith(b"Umask:"):
            return int(line.split()[1], 8)
    raise OSError("no umask in status")


def _in_background(at: str, stdin: int) -> bool:
    """See `croze.cli.thin.in_background`."""
    fields = _read(f"{at}/stat").rpartition(b") ")[2].split()
    return os.isatty(stdin) and fields[TERMINAL_GROUP] not in (b"-1", fields[GROUP])


def _read(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.read()
