"""A network for an ordinary user's containers: slirp4netns passes on what they send.

An ordinary user can make a network namespace, but connect it with nothing. slirp4netns(1) is a
user's process that speaks TCP and UDP for it. All containers share the one namespace, which is made
for the first of them, and which nothing of the host's loopback can be reached from.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import fcntl
import os
import shutil
import socket
import struct
import subprocess
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from croze.errors import CrozeError, Unavailable, Unsupported
from croze.runtime.oci_spec import Namespace
from croze.store.mount import MS_BIND, raw_mount, unmount

CLONE_NEWNET = 0x40000000
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
MTU_BYTES = 65520
_PATH = ":/usr/local/bin:/usr/bin:/bin"


class SlirpNetwork:
    """See `NetworkProvider`. `close` it at the end; with a killed daemon it goes by itself, as the
    process leaves when we close its pipe and the namespace was mounted for us alone."""

    shares_host = False

    def __init__(self, folder: Path) -> None:
        """Raises `Unsupported` when there is no slirp4netns."""
        found = shutil.which("slirp4netns", path=os.environ.get("PATH", "") + _PATH)
        if found is None:
            raise Unsupported("the network mode slirp4netns needs slirp4netns, which is not there")
        self._program = found
        self._file = folder / "netns"
        self._making = asyncio.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._leave = -1
        """The process ends when this is closed."""

    @asynccontextmanager
    async def open(self, container_id: str, hostname: str) -> AsyncIterator[Namespace]:
        async with self._making:
            if self._process is None or self._process.poll() is not None:
                self.close()
                await asyncio.to_thread(self._make)
        yield Namespace(host=False, path=str(self._file))

    def _make(self) -> None:
        _make_namespace(self._file)
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    def _start(self) -> None:
        ready_read, ready_write = os.pipe()
        leave_read, self._leave = os.pipe()
        command = [self._program, "--configure", f"--mtu={MTU_BYTES}", "--disable-host-loopback"]
        command += [f"--ready-fd={ready_write}", f"--exit-fd={leave_read}"]
        command += ["--netns-type=path", str(self._file), "tap0"]
        log = self._file.with_suffix(".log")
        try:
            with open(log, "wb") as said:
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=said,
                    stderr=said,
                    pass_fds=(ready_write, leave_read),
                )
        finally:
            os.close(ready_write)
            os.close(leave_read)
        with open(ready_read, "rb") as ready:
            if ready.read(1) != b"1":
                reason = log.read_text("utf-8", "replace").strip().splitlines()[-1:]
                raise Unavailable(f"slirp4netns did not start: {''.join(reason)}")

    def close(self) -> None:
        """End the process and forget the namespace. Idempotent."""
        if self._leave >= 0:
            os.close(self._leave)
            self._leave = -1
        if self._process is not None:
            self._process.wait()
            self._process = None
        with contextlib.suppress(CrozeError):
            unmount(self._file)
        self._file.unlink(missing_ok=True)
        self._file.with_suffix(".log").unlink(missing_ok=True)


def _make_namespace(file: Path) -> None:
    """A fresh network namespace with a loopback, kept by a mount on `file`.

    A namespace belongs to a thread: one that ends right after.
    """
    failures: list[BaseException] = []

    def work() -> None:
        try:
            libc = ctypes.CDLL(None, use_errno=True)
            if libc.unshare(CLONE_NEWNET) != 0:
                reason = os.strerror(ctypes.get_errno())
                raise Unsupported(f"failed to make a network namespace: {reason}")
            _loopback_up()
            file.touch()
            raw_mount(f"/proc/self/task/{threading.get_native_id()}/ns/net", file, "", MS_BIND)
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=work, name="netns")
    thread.start()
    thread.join()
    if failures:
        raise failures[0]


def _loopback_up() -> None:
    """Source: netdevice(7)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sh22x", b"lo", 0)
        _, flags = struct.unpack("16sh22x", fcntl.ioctl(control, SIOCGIFFLAGS, request))
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", flags | IFF_UP))
