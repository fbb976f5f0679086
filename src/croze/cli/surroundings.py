"""What a process is in and may do: what a command must have in common with the process that runs it
on its behalf. Read from /proc (proc(5)), of this process or of another.

Imports nothing but `os` and `sys`: start-up time counts.
"""

import os
import sys

TYPE_CHECKING = False  # `typing` takes longer than all that is here
if TYPE_CHECKING:
    from collections.abc import Mapping

NAMESPACES = (
    *("cgroup", "ipc", "mnt", "net", "pid", "pid_for_children"),
    *("time", "time_for_children", "user", "uts"),
)
FILES = ("cgroup", "limits", "oom_score_adj")
FILES_OF_SOME_KERNELS = ("personality", "attr/current", "loginuid")
STATUS = (
    *(b"Uid", b"Gid", b"Groups"),
    *(b"CapInh", b"CapPrm", b"CapEff", b"CapBnd", b"CapAmb"),
    *(b"NoNewPrivs", b"Seccomp", b"Seccomp_filters", b"Cpus_allowed", b"Mems_allowed"),
)
SIGNALS = (b"SigBlk", b"SigIgn")
SIGNALS_OF_LIBC = 0b111 << 31
"""Numbers 32 to 34: `posix_spawn` leaves them ignored, and no program uses them."""
NICE, RT_PRIORITY, POLICY = 16, 37, 38
"""Which they are of the fields behind the name in /proc/PID/stat."""

READ_AT_START = (b"LD_", b"PYTHON", b"LC_", b"LANG", b"MALLOC_", b"GLIBC_", b"GRPC_", b"OPENSSL_")
"""Variables that only count when a process starts, by the beginnings of their names."""

ONE_PROCESS_PATHS = ("/dev/fd/", "/dev/tty", "/proc/self", "/proc/thread-self")
"""Paths that mean something else in every process."""

IGNORED_BY_PYTHON = 1 << 12 | 1 << 24
"""SIGPIPE and SIGXFSZ: an interpreter ignores them from its start on."""
BLOCKED_BY_BASH = 1 << 16
"""SIGCHLD, while it reads."""


def surroundings(pid: str = "self", *, is_bash: bool = False) -> bytes:
    """What a process is in and may do: namespaces, root, cgroups, limits, ids, privileges, signals
    that are ignored, priorities. What /proc does not tell (I/O priority, securebits) and what is
    handed over (directory, umask) is left out. Of bash, that reads, it is told what an interpreter
    would be in its place. Raises `OSError` when the process is gone, or not to be looked into."""
    at = f"/proc/{pid}/"
    facts = [os.fsencode(os.readlink(f"{at}ns/{name}")) for name in NAMESPACES]
    facts.append(_root(at))
    facts += [_read(at + name) for name in FILES]
    for name in FILES_OF_SOME_KERNELS:
        try:
            facts.append(_read(at + name))
        except OSError as error:
            facts.append(str(error.errno).encode())
    for line in _read(at + "status").splitlines():
        key, _, value = line.partition(b":")
        if key in STATUS:
            facts.append(line)
        elif key in SIGNALS:
            signals = int(value, 16) & ~SIGNALS_OF_LIBC
            if is_bash:
                signals = (
                    signals | IGNORED_BY_PYTHON if key == b"SigIgn" else signals & ~BLOCKED_BY_BASH
                )
            facts.append(b"%x" % signals)
    stat = _read(at + "stat").rpartition(b") ")[2].split()
    facts += [stat[NICE], stat[RT_PRIORITY], stat[POLICY]]
    return b"\0".join(facts)


def installation(environ: "Mapping[bytes, bytes]" = os.environb) -> bytes:
    """What this very installation is, and what its interpreter is told by an environment when it
    starts."""
    items = (n + b"=" + value for n, value in environ.items() if n.startswith(READ_AT_START))
    return b"\n".join((program(), *sorted(items)))


def program(python: str = sys.executable) -> bytes:
    """This very installation, by its interpreter and the directory of `croze`, whatever it is told
    when it starts."""
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    return os.fsencode(f"{python}\n{here}")


def short_name(data: bytes) -> str:
    """Sixteen letters that stand for the bytes, the same in every process."""
    return f"{int.from_bytes(data, 'big') % (2**61 - 1):016x}"


def means_the_same_elsewhere(argv: "list[str]") -> bool:
    """Whether the words name the same files in another process."""
    return not any(path in word for word in argv for path in ONE_PROCESS_PATHS)


def _root(at: str) -> bytes:
    """Which directory of which mount is the root."""
    fd = os.open(f"{at}root", os.O_PATH | os.O_CLOEXEC)
    try:
        status = os.fstat(fd)
        for line in _read(f"/proc/self/fdinfo/{fd}").splitlines():
            if line.startswith(b"mnt_id:"):
                return b"%d %d %b" % (status.st_dev, status.st_ino, line)
    finally:
        os.close(fd)
    raise OSError("no mnt_id in fdinfo")


def _read(path: str) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = b""
        while more := os.read(fd, 65536):
            data += more
        return data
    finally:
        os.close(fd)
