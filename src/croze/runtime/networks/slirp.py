"""A network for an ordinary user's containers: slirp4netns passes on what they send.

An ordinary user can make a network namespace, but connect it with nothing. slirp4netns(1) is a
user's process that speaks TCP and UDP for it. All containers share the one namespace, which is made
for the first of them, and which nothing of the host's loopback can be reached from.
"""

from __future__ import annotations

import asyncio
import os
import select
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from croze.aio.threads import in_thread
from croze.errors import Unavailable, Unsupported, os_reason
from croze.runtime.networks.netns import make_namespace, remove_namespace
from croze.runtime.oci_spec import Namespace

MTU_BYTES = 65520
READY_S = 10.0
"""How long slirp4netns may take to be ready, and to end: nothing waits for it without end."""
_PATH = ":/usr/local/bin:/usr/bin:/bin"


TUN = "/dev/net/tun"


def find_program() -> str:
    """Where slirp4netns is. Raises `Unsupported` when it is not there, or nothing that it can work
    with."""
    program = shutil.which("slirp4netns", path=os.environ.get("PATH", "") + _PATH)
    if program is None:
        raise Unsupported("the network mode slirp4netns needs slirp4netns, which is not there")
    _check_tun()
    return program


def _check_tun() -> None:
    """slirp4netns makes its device with this one; a container's /dev seldom has it."""
    try:
        os.close(os.open(TUN, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        reason = os_reason(error)
        raise Unsupported(
            f"the network mode slirp4netns needs {TUN}: {reason}: load the module tun "
            f"(modprobe tun), or give this container the device (--device {TUN})"
        ) from None


class SlirpNetwork:
    """See `NetworkProvider`. `close` it at the end; with a killed daemon it goes by itself, as the
    process leaves when we close its pipe and the namespace was mounted for us alone."""

    shares_host = False

    def __init__(self, folder: Path) -> None:
        """`folder` is for what keeps the namespace. Raises as `find_program`."""
        self._program = find_program()
        self._file = folder / "netns"
        self._making = asyncio.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._leave = -1
        """The process ends when this is closed."""

    @asynccontextmanager
    async def open(self, container_id: str, hostname: str) -> AsyncIterator[Namespace]:
        async with self._making:
            if self._process is None or self._process.poll() is not None:
                await in_thread(self._make)
        yield Namespace(host=False, path=str(self._file))

    def _make(self) -> None:
        self._end()
        make_namespace(self._file)
        try:
            self._start()
        except BaseException:
            self._end()
            raise

    def _start(self) -> None:
        ready_read, ready_write = os.pipe()
        leave_read, self._leave = os.pipe()
        command = [self._program, "--configure", f"--mtu={MTU_BYTES}", "--disable-host-loopback"]
        command += [f"--ready-fd={ready_write}", f"--exit-fd={leave_read}"]
        command += ["--netns-type=path", str(self._file), "tap0"]
        log = self._file.with_suffix(".log")
        try:
            with open(log, "wb") as log_file:
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log_file,
                    stderr=log_file,
                    pass_fds=(ready_write, leave_read),
                )
        finally:
            os.close(ready_write)
            os.close(leave_read)
        with open(ready_read, "rb", buffering=0) as ready:
            waiting = select.poll()  # `select` takes no descriptor above 1023
            waiting.register(ready, select.POLLIN)
            if not waiting.poll(READY_S * 1000) or ready.read(1) != b"1":
                reason = log.read_text("utf-8", "replace").strip().splitlines()[-1:]
                raise Unavailable(f"slirp4netns did not start: {''.join(reason)}")

    async def close(self) -> None:
        """End the process and forget the namespace. Idempotent."""
        await in_thread(self._end)

    def _end(self) -> None:
        if self._leave >= 0:
            os.close(self._leave)
            self._leave = -1
        if self._process is not None:
            try:
                self._process.wait(READY_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
        remove_namespace(self._file)
        self._file.with_suffix(".log").unlink(missing_ok=True)
