"""An ordinary user's daemon: root of a user namespace of its own (user_namespaces(7)).

The user is root there, and the ids that /etc/subuid and /etc/subgid give the user are everybody
else (newuidmap(1), subuid(5)). The process stays the same one, so that whoever started it, waits
for it, or passed it sockets need not know. Under RootlessKit all that is done already.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import subprocess
import sys
from collections.abc import Iterator, MutableMapping, Sequence
from pathlib import Path

from croze.errors import Unsupported

CLONE_NEWUSER = 0x10000000
SYSCTLS = (
    "look at the sysctls user.max_user_namespaces, kernel.unprivileged_userns_clone and "
    "kernel.apparmor_restrict_unprivileged_userns"
)
"""With which machines keep their users from namespaces, or from doing anything in them."""
_TEXT_FLAGS = frozenset({"-h", "--h", "-help", "--help", "-v", "--v", "-version", "--version"})
_PATH = ":/usr/local/bin:/usr/bin:/bin"


def become_root_of_a_namespace(argv: Sequence[str]) -> None:
    """Become the root of a new user namespace if this process is not root, by starting the program
    again; it does not return then. Raises `Unsupported` with what is missing."""
    if os.geteuid() == 0 or _TEXT_FLAGS.intersection(argv):
        return
    complete_environment(os.environ)
    enter_user_namespace()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def complete_environment(environ: MutableMapping[str, str]) -> None:
    """Set the variables that tell where a user's files go; inside the namespace nobody knows who
    the user was."""
    user = _user()
    if environ.get("USER", "") in ("", "root"):
        environ["USER"] = user.pw_name
    environ.setdefault("HOME", user.pw_dir)
    runtime = f"/run/user/{user.pw_uid}"
    if not environ.get("XDG_RUNTIME_DIR") and os.access(runtime, os.W_OK):
        environ["XDG_RUNTIME_DIR"] = runtime


def _user() -> pwd.struct_passwd:
    """Who we are. Raises `Unsupported` for nobody whom the machine knows."""
    try:
        return pwd.getpwuid(os.getuid())
    except KeyError:
        raise Unsupported(
            f"an ordinary user's daemon needs a line in /etc/passwd, and uid {os.getuid()} has none"
        ) from None


def enter_user_namespace() -> None:
    """Unshare the user namespace and become its root. Call it before any thread is started.

    A child that stays outside has the maps written, which only newuidmap and newgidmap may do.
    """
    uid, gid = os.getuid(), os.getgid()
    commands = [
        [_tool("newuidmap"), str(os.getpid()), *_map(uid, subordinate_ids("/etc/subuid"))],
        [_tool("newgidmap"), str(os.getpid()), *_map(gid, subordinate_ids("/etc/subgid"))],
    ]
    go_read, go_write = os.pipe()
    said_read, said_write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(go_write)
        _map_ids(commands, go_read, said_write)
    os.close(said_write)
    failure = _unshare()
    if not failure:
        os.write(go_write, b"1")
    os.close(go_write)
    os.waitpid(child, 0)
    with open(said_read, encoding="utf-8", errors="replace") as complaint:
        failure = failure or complaint.read().strip()
    os.close(go_read)
    if failure:
        raise Unsupported(failure)
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)


def _unshare() -> str:
    """The reason why not, or nothing."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWUSER) == 0:
        return ""
    return f"cannot make a user namespace: {os.strerror(ctypes.get_errno())}: {SYSCTLS}"


def _map_ids(commands: Sequence[Sequence[str]], go: int, complaint_fd: int) -> None:
    """Run the commands once told to, in the child; says what went wrong. Never returns."""
    try:
        if os.read(go, 1):
            for command in commands:
                process = subprocess.run(command, stderr=subprocess.PIPE, check=False)
                if process.returncode:
                    os.write(complaint_fd, f"failed to map ids: {process.stderr.decode()}".encode())
    finally:
        os._exit(0)


def _tool(name: str) -> str:
    import shutil

    path = shutil.which(name, path=os.environ.get("PATH", "") + _PATH)
    if path is None:
        raise Unsupported(
            f"an ordinary user's daemon needs {name}, which is not installed (Debian: uidmap)"
        )
    return path


def subordinate_ids(path: str) -> Sequence[tuple[int, int]]:
    """(first, count) of this user's ranges in the file. Raises `Unsupported` if there are none."""
    user = _user()
    ranges = list(_ranges(Path(path), {user.pw_name, str(user.pw_uid)}))
    if not ranges:
        raise Unsupported(
            f"an ordinary user's daemon needs ids for the users in containers, and {path} gives "
            f"{user.pw_name} none: add a line such as {user.pw_name}:100000:65536"
        )
    return ranges


def _ranges(path: Path, names: set[str]) -> Iterator[tuple[int, int]]:
    """Source: subuid(5)."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        owner, _, rest = line.strip().partition(":")
        first, _, count = rest.partition(":")
        if owner in names and first.isdigit() and count.isdigit():
            yield int(first), int(count)


def _map(own: int, ranges: Sequence[tuple[int, int]]) -> list[str]:
    """newuidmap's words: our own id is 0, the ranges follow one another from 1."""
    words, inside = ["0", str(own), "1"], 1
    for first, count in ranges:
        words += [str(inside), str(first), str(count)]
        inside += count
    return words
