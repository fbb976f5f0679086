"""The builders that are compared, each with a daemon of its own below a folder."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from tests.e2e.sandbox import BUILDX, CROZE, Sandbox


class Peer(Protocol):
    """A builder under test."""

    name: str

    def build(self, context: Path) -> None:
        """One build into the peer's image store, waiting for the end."""

    def forget(self) -> None:
        """Empty the build cache."""


def _run(command: list[str], env: dict[str, str]) -> None:
    done = subprocess.run(command, env=env, capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stderr.decode(errors='replace')}")


class Croze:
    """`croze build` on `crozed`, both warm."""

    name = "croze"

    def __init__(self, sandbox: Sandbox) -> None:
        self._env = {**sandbox.env, "CROZE_NO_WARM": "0"}

    def build(self, context: Path) -> None:
        _run([str(CROZE), "build", "-q", "-t", "bench", str(context)], self._env)

    def forget(self) -> None:
        _run([str(CROZE), "prune", "-a", "-f"], self._env)


class Docker:
    """`docker buildx build` on Debian's dockerd, which holds a BuildKit."""

    name = "docker"

    def __init__(self, env: dict[str, str]) -> None:
        self._env = env
        self._buildx = str(BUILDX["sid"])

    def build(self, context: Path) -> None:
        words = ["build", "-q", "--network=host", "-t", "bench", str(context)]
        _run([self._buildx, *words], self._env)

    def forget(self) -> None:
        _run([self._buildx, "prune", "-a", "-f"], self._env)


@contextlib.contextmanager
def croze(folder: Path) -> Iterator[Peer]:
    """A daemon and a warm process."""
    sandbox = Sandbox(folder)
    sandbox.start()
    warm = subprocess.Popen([sys.executable, "-m", "croze.cli.warm"], env=sandbox.env, cwd="/")
    try:
        wait_for(sandbox.runtime / "warm-*.sock", warm)
        yield Croze(sandbox)
    finally:
        warm.terminate()
        warm.wait()
        sandbox.stop()


def wait_for(path: Path, process: subprocess.Popen[bytes]) -> None:
    """Until the process answers on a socket of that name, which may be a pattern."""
    deadline = time.monotonic() + 30
    while True:
        for found in path.parent.glob(path.name):
            with socket.socket(socket.AF_UNIX) as probe:
                if probe.connect_ex(str(found)) == 0:
                    return
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"nobody answers on {path}")
        time.sleep(0.05)


@contextlib.contextmanager
def docker(folder: Path) -> Iterator[Peer]:
    """A dockerd without bridge or iptables; its RUNs use the host's network, as Croze's do."""
    binary = shutil.which("dockerd")
    if binary is None:
        raise FileNotFoundError("dockerd is needed: make setup-test")
    folder.mkdir(parents=True)
    address = folder / "docker.sock"
    flags = ["--data-root", f"{folder}/data", "--exec-root", f"{folder}/exec"]
    flags += ["-p", f"{folder}/pid", "-H", f"unix://{address}", "--iptables=false", "--bridge=none"]
    env = {**os.environ, "HOME": str(folder), "DOCKER_HOST": f"unix://{address}"}
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen([binary, *flags], stdout=log, stderr=log, env=env)
    try:
        wait_for(address, process)
        yield Docker(env)
    finally:
        process.terminate()
        process.wait()
