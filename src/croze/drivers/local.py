"""The user's own daemon: dialled if it runs, brought up if it doesn't, gone when idle."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import socket
import subprocess
import time
from pathlib import Path

from croze.drivers import places
from croze.errors import PermissionDenied, Unavailable, Unsupported
from croze.files.interpreter import own_program
from croze.files.locks import locked
from croze.files.own import own_dir
from croze.files.peers import is_own_or_roots, peer_of

START_TIMEOUT_S = 30.0
IDLE_TIMEOUT_S = 600
LOOK_EVERY_S = 0.05
PROGRAM = "crozed"
"""How the daemon begins its last word."""


def address_from_environment() -> str:
    """The address of a daemon that the user named: `CROZE_HOST`, or `BUILDKIT_HOST` as BuildKit's
    tools do; empty for none."""
    return os.environ.get("CROZE_HOST") or os.environ.get("BUILDKIT_HOST", "")


def answers(path: str) -> bool:
    """Whether a daemon of this user's, or of root's, accepts connections at the socket.

    Raises `PermissionDenied` when it is somebody else who does: nothing has been sent."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        if probe.connect_ex(path) != 0:
            return False
        if not is_own_or_roots(probe):
            raise PermissionDenied(
                f"the daemon at {path} is another user's (uid {peer_of(probe).uid}): "
                "name it with CROZE_HOST if you trust it"
            )
        return True


def running_daemon() -> str:
    """The address of the daemon that `ensure_daemon` would take as it is; empty if none runs.
    Raises `PermissionDenied` when somebody else has its place."""
    return _listed(places.default_daemon_state()) or own_daemon()


def own_daemon() -> str:
    """The address of a running daemon that has the user's own state; empty if there is none. Raises
    as `running_daemon`."""
    return _running(places.daemon_socket())


def leaving_daemon() -> int:
    """The process of a daemon that has the user's own state and answers nobody: it waits for the
    last builds. 0 if there is none, or it may not be looked into."""
    if _state_is_free() or own_daemon():
        return 0
    with contextlib.suppress(OSError, ValueError):
        pid = int(Path(places.daemon_pid()).read_text("ascii"))
        lock = os.stat(places.state_lock())
        for fd in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                if os.path.samestat(os.stat(f"/proc/{pid}/fd/{fd}"), lock):
                    return pid
    return 0


def ensure_daemon() -> tuple[str, bool]:
    """The address of the user's daemon, and whether this call started it.

    A `crozed` that already runs with its default state, or with the user's, is taken as it is.
    Safe to call from several processes at once. Raises `Unavailable` with the end of the daemon's
    log when it doesn't come up, and `PermissionDenied` when somebody else has its place.
    """
    if daemon := _listed(places.default_daemon_state()):
        return daemon, False
    _check_user()
    folder = own_dir(places.runtime_dir())
    path = places.daemon_socket()
    if answers(path):
        return f"unix://{path}", False
    own_dir(places.state_dir())
    with locked(f"{folder}/start.lock"):
        return _attach_or_start(path)


def _check_user() -> None:
    """See that this user can have a daemon of their own. Raises `Unsupported`."""
    if os.getuid() == 0:
        return
    import pwd

    try:
        pwd.getpwuid(os.getuid())
    except KeyError:
        raise Unsupported(
            f"uid {os.getuid()} has no line in /etc/passwd, which a daemon of its own needs: "
            "name another daemon with --builder or BUILDKIT_HOST"
        ) from None


def _attach_or_start(path: str) -> tuple[str, bool]:
    """The state has one daemon at a time. One that was started by hand is as good, as soon as it
    listens; one that is leaving is waited for."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if daemon := _running(path):
            return daemon, False
        if _state_is_free():
            try:
                _start(path)
            except Unavailable:
                if _state_is_free():
                    raise
            else:
                return f"unix://{path}", True
        time.sleep(LOOK_EVERY_S)
    raise Unavailable(
        f"the daemon that has {places.state_dir()} answers nowhere: stop it, or name it with "
        "CROZE_HOST"
    )


def _running(path: str) -> str:
    """The address of a daemon of our state that answers; empty if there is none."""
    if answers(path):
        return f"unix://{path}"
    return _listed(places.state_dir())


def _listed(state: str) -> str:
    """The address of a running daemon with that state; empty if there is none."""
    if not state:
        return ""
    with contextlib.suppress(OSError):
        for address in Path(places.daemon_addresses(state)).read_text("utf-8").splitlines():
            scheme, _, rest = address.partition("://")
            if scheme == "unix" and answers(rest):
                return address
    return ""


def _state_is_free() -> bool:
    """Whether no daemon holds the lock of the state."""
    try:
        lock = os.open(places.state_lock(), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(lock)
    return True


def _start(path: str) -> None:
    ready_read, ready_write = os.pipe()
    command = [*own_program("croze.daemon"), "--addr", f"unix://{path}"]
    command += ["--root", places.state_dir(), "--idle-timeout", str(IDLE_TIMEOUT_S)]
    command += ["--ready-fd", str(ready_write), "--docker-api", f"unix://{places.docker_socket()}"]
    # As dockerd does: the host's network is the user's to give, privileges are not.
    command += ["--allow-insecure-entitlement", "network.host"]
    with open(places.daemon_log(), "ab") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            pass_fds=(ready_write,),
            start_new_session=True,
        )
    os.close(ready_write)
    try:
        _wait_ready(ready_read, process)
    finally:
        os.close(ready_read)


def _wait_ready(ready: int, process: subprocess.Popen[bytes]) -> None:
    """The daemon writes one byte when it listens; end of file means that it died."""
    deadline = time.monotonic() + START_TIMEOUT_S
    readable, _, _ = select.select([ready], [], [], max(0.0, deadline - time.monotonic()))
    if readable and os.read(ready, 1):
        # The daemon outlives us on purpose; this tells Popen not to complain about it.
        process.returncode = 0
        return
    process.kill()
    process.wait()
    log = Path(places.daemon_log())
    lines = log.read_text(errors="replace").splitlines()
    if lines and lines[-1].startswith(f"{PROGRAM}: "):
        raise Unavailable(f"the daemon did not start: {lines[-1].removeprefix(f'{PROGRAM}: ')}")
    tail = "\n".join(lines[-5:])
    raise Unavailable(f"the daemon did not start; the end of {log} says:\n{tail}")
