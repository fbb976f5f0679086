"""`buildctl-daemonless.sh`: a daemon of its own for one `buildctl` command.

The variables are those of BuildKit's script of this name (`examples/buildctl-daemonless`), which
its images have: `BUILDCTL`, `BUILDKITD` and `ROOTLESSKIT` are commands, `BUILDKITD_FLAGS` more
words for the daemon, all split at blanks; `BUILDCTL_CONNECT_RETRIES_MAX` says how often to ask
again whether it answers. Unlike the script's, a daemon that ends is told of at once, and no signal
leaves it behind.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import IO, NoReturn

from croze.errors import AlreadyExists, CrozeError, InvalidRequest, Unavailable
from croze.files.interpreter import own_program

RETRIES = 10
LOG_BYTES = 1 << 20
_OWN_DAEMON = tuple(own_program("croze.daemon"))
_OWN_BUILDCTL = tuple(own_program("croze.cli.buildctl"))
_ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main(argv: Sequence[str], environ: Mapping[str, str] = os.environ) -> int:
    """Run a daemon, and one `buildctl` command with it; the exit code is that command's, if it came
    to that."""
    for number in _ENDINGS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _leave)
    try:
        address = _address(environ)
        _check_is_free(address)
        buildctl = [*_command(environ, "BUILDCTL", _OWN_BUILDCTL), f"--addr={address}"]
        with _daemon(_daemon_words(environ, address), _retries(environ), buildctl):
            return _run([*buildctl, *argv])
    except CrozeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    """Once: what is to be put away then is."""
    for each in _ENDINGS:
        signal.signal(each, signal.SIG_IGN)
    raise SystemExit(128 + number)


def _command(environ: Mapping[str, str], name: str, default: Sequence[str]) -> list[str]:
    return environ.get(name, "").split() or list(default)


def _address(environ: Mapping[str, str]) -> str:
    if os.getuid() == 0:
        return "unix:///run/buildkit/buildkitd.sock"
    if not environ.get("XDG_RUNTIME_DIR"):
        raise InvalidRequest("XDG_RUNTIME_DIR is not set: it says where the daemon's socket is")
    return f"unix://{environ['XDG_RUNTIME_DIR']}/buildkit/buildkitd.sock"


def _check_is_free(address: str) -> None:
    """See that nobody answers there: who does would be taken for the daemon that is started. Raises
    `AlreadyExists`."""
    with socket.socket(socket.AF_UNIX) as probe:
        if probe.connect_ex(address.removeprefix("unix://")) == 0:
            raise AlreadyExists(f"a daemon listens at {address} already: use buildctl")


def _retries(environ: Mapping[str, str]) -> int:
    text = environ.get("BUILDCTL_CONNECT_RETRIES_MAX") or str(RETRIES)
    if not text.isdigit():
        raise InvalidRequest(f"BUILDCTL_CONNECT_RETRIES_MAX: {text!r} is no number")
    return int(text)


def _daemon_words(environ: Mapping[str, str], address: str) -> list[str]:
    """`buildkitd` if there is one, which may be a link to crozed, else the crozed of this
    installation, which needs no RootlessKit."""
    buildkitd = shutil.which("buildkitd")
    words = _command(environ, "BUILDKITD", [buildkitd] if buildkitd else _OWN_DAEMON)
    helper: list[str] = []
    if os.getuid() != 0:
        rootlesskit = shutil.which("rootlesskit") if tuple(words) != _OWN_DAEMON else None
        helper = _command(environ, "ROOTLESSKIT", [rootlesskit] if rootlesskit else [])
    return [*helper, *words, *environ.get("BUILDKITD_FLAGS", "").split(), f"--addr={address}"]


@contextmanager
def _daemon(words: Sequence[str], retries: int, buildctl: Sequence[str]) -> Iterator[None]:
    """A daemon that answers while inside, and has ended afterwards. Raises `Unavailable`, with its
    log."""
    with tempfile.TemporaryFile() as log, _process(words, log.fileno()) as process:
        _wait(process, retries, buildctl, log)
        yield


@contextmanager
def _process(words: Sequence[str], log: int) -> Iterator[subprocess.Popen[bytes]]:
    """A daemon in a session of its own: what a terminal sends is for the command, which may leave
    first."""
    try:
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    except OSError as error:
        raise Unavailable(f"cannot start {words[0]}: {error.strerror}") from None
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def _wait(
    process: subprocess.Popen[bytes], retries: int, buildctl: Sequence[str], log: IO[bytes]
) -> None:
    """Ask the daemon until it answers. `buildctl` ends with its address. Raises `Unavailable` when
    it has ended, or was asked often enough."""
    for count in range(retries + 2):
        if process.poll() is not None:
            break
        if _run([*buildctl, "debug", "workers"], quiet=True) == 0:
            return
        time.sleep(0.1 + count * 0.02)
    log.seek(0)
    text = log.read(LOG_BYTES).decode("utf-8", "replace")
    address = buildctl[-1].removeprefix("--addr=")
    message = f"could not connect to {address} after {retries} trials"
    if process.poll() is not None:
        message = f"the daemon for {address} ended, with exit code {process.returncode}"
    raise Unavailable(f"{message}\n========== log ==========\n{text.rstrip()}")


def _run(words: Sequence[str], *, quiet: bool = False) -> int:
    """The exit code, as a shell has it."""
    out = subprocess.DEVNULL if quiet else None
    try:
        with subprocess.Popen(words, stdout=out, stderr=out) as process:
            code = _waited(process)
    except OSError as error:
        raise Unavailable(f"cannot start {words[0]}: {error.strerror}") from None
    return code if code >= 0 else 128 - code


def _waited(process: subprocess.Popen[bytes]) -> int:
    """Wait for the process to end; should we be told to leave, so is it."""
    try:
        return process.wait()
    except SystemExit:
        process.terminate()
        process.wait()
        raise
