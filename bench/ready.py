"""How long daemons take until they answer, each on an empty root, in turn:

    python -m bench.ready [ROUNDS]

Medians of milliseconds until a client could connect, had the first bytes of HTTP/2, and had the
answers to `Control.ListWorkers` and `Control.Info`; and of the daemon's processor time until then.
"""

from __future__ import annotations

import contextlib
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import hpack

from bench import disk
from bench.daemons import buildkitd_command, crozed_command

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"
_SETTINGS_READ = b"\0\0\0\4\1\0\0\0\0"
_SETTINGS, _END_STREAM, _ACK = 4, 1, 1
_CALLS = ("ListWorkers", "Info")
_LOOK_S = 0.001
_MOST_S = 60.0


class _Client:
    """A connection that knows as much of gRPC as two empty requests take."""

    def __init__(self, connected: socket.socket) -> None:
        self._sock = connected
        self._coding = hpack.Encoder()
        self._unread = bytearray()

    def greet(self) -> None:
        """Returns with the first bytes that come."""
        self._sock.sendall(_PREFACE)
        self._unread += self._read()

    def ask(self, stream: int, method: str) -> None:
        """Returns when the call has ended."""
        path = f"/moby.buildkit.v1.Control/{method}"
        fields = [(":method", "POST"), (":scheme", "http"), (":path", path)]
        fields += [(":authority", "localhost"), ("content-type", "application/grpc")]
        headers = self._coding.encode([*fields, ("te", "trailers")])
        message = bytes(5)
        self._sock.sendall(_frame(1, 4, stream, headers) + _frame(0, _END_STREAM, stream, message))
        while True:
            while len(self._unread) < 9 or len(self._unread) < 9 + self._size():
                self._unread += self._read()
            kind, flags, number = self._unread[3], self._unread[4], bytes(self._unread[5:9])
            del self._unread[: 9 + self._size()]
            if kind == _SETTINGS and not flags & _ACK:
                self._sock.sendall(_SETTINGS_READ)
            if int.from_bytes(number) == stream and kind in (0, 1) and flags & _END_STREAM:
                return

    def _size(self) -> int:
        return int.from_bytes(self._unread[:3])

    def _read(self) -> bytes:
        data = self._sock.recv(1 << 16)
        if not data:
            raise RuntimeError("the daemon has hung up")
        return data


def _frame(kind: int, flags: int, stream: int, data: bytes) -> bytes:
    return len(data).to_bytes(3) + bytes((kind, flags)) + stream.to_bytes(4) + data


def _start(folder: Path, command: Sequence[str]) -> list[float]:
    """One start, and its times."""
    began, times = time.monotonic(), list[float]()
    with open(folder / "log", "ab") as log:
        process = subprocess.Popen([*command], stdout=log, stderr=log, cwd="/")
    try:
        with _connected(folder / "daemon.sock", process) as sock:
            client = _Client(sock)
            times.append(time.monotonic() - began)
            client.greet()
            times.append(time.monotonic() - began)
            for number, method in enumerate(_CALLS):
                client.ask(2 * number + 1, method)
                times.append(time.monotonic() - began)
        return [*times, _cpu_s(process.pid)]
    finally:
        process.terminate()
        process.wait()


def _connected(path: Path, process: subprocess.Popen[bytes]) -> socket.socket:
    deadline = time.monotonic() + _MOST_S
    while True:
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(_MOST_S)
        with contextlib.suppress(OSError):
            sock.connect(str(path))
            return sock
        sock.close()
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"nobody answers on {path}: see the log beside it")
        time.sleep(_LOOK_S)


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def main(rounds: int) -> None:
    commands: list[tuple[str, Callable[[Path], list[str] | None]]]
    commands = [("croze", crozed_command), ("BuildKit", buildkitd_command)]
    found: dict[str, list[list[float]]] = {}
    with disk.folder() as base:
        for number in range(rounds):
            for name, command in commands[:: 1 if number % 2 else -1]:
                folder = base / f"{name}{number}"
                folder.mkdir()
                if words := command(folder):
                    found.setdefault(name, []).append(_start(folder, words))
    print("| ms | connected | first bytes | ListWorkers | Info | CPU |\n|---|---|---|---|---|---|")
    for name, starts in found.items():
        medians = (statistics.median(times) * 1e3 for times in zip(*starts, strict=True))
        print(f"| {name} | {' | '.join(f'{each:.0f}' for each in medians)} |")


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 10)
