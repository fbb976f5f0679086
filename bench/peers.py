"""The builders that are compared.

`croze` is `croze build` on `crozed`; `stock` an unmodified client on `crozed`; `buildkit` the same
client on a `buildkitd`, which all are measured by. The client is `buildctl` where it is at hand
(`CROZE_BUILDCTL`, or the PATH), and else Debian's `docker-buildx`. Without a `buildkitd` there is
nothing to compare with.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from bench import daemons
from bench.daemons import Daemon
from tests.e2e.sandbox import BUILDX, CROZE


@dataclass(frozen=True)
class Ask:
    """What is asked of a build besides its context; each in the words of `--output` and the cache
    flags."""

    output: str = ""
    cache_to: str = ""
    cache_from: str = ""


class Client(Protocol):
    """Makes command lines."""

    def build(self, context: Path, ask: Ask) -> list[str]: ...

    def graph(self) -> list[str] | None:
        """Builds the LLB definition on standard input; None for a client that can't."""

    def prune(self) -> list[str]: ...


class Buildx:
    """`croze`, and `docker-buildx`, which has the same words."""

    def __init__(self, *words: str) -> None:
        self._words = words

    def build(self, context: Path, ask: Ask) -> list[str]:
        words = [*self._words, "build", "--progress=quiet", "--provenance=false"]
        words += ["--output", ask.output or "type=cacheonly"]
        words += ["--cache-to", ask.cache_to] if ask.cache_to else []
        words += ["--cache-from", ask.cache_from] if ask.cache_from else []
        return [*words, str(context)]

    def graph(self) -> list[str] | None:
        return None

    def prune(self) -> list[str]:
        return [*self._words, "prune", "--all", "--force"]


class Croze(Buildx):
    """And more."""

    def graph(self) -> list[str] | None:
        return [*self._words, "llb", "build", "--progress=plain"]


class Buildctl:
    def __init__(self, binary: str, address: str) -> None:
        self._words = (binary, "--addr", address)

    def build(self, context: Path, ask: Ask) -> list[str]:
        words = [*self._words, "build", "--frontend", "dockerfile.v0", "--progress=plain"]
        words += ["--local", f"context={context}", "--local", f"dockerfile={context}"]
        words += ["--output", ask.output] if ask.output else []
        words += ["--export-cache", ask.cache_to] if ask.cache_to else []
        words += ["--import-cache", ask.cache_from] if ask.cache_from else []
        return words

    def graph(self) -> list[str] | None:
        return [*self._words, "build", "--progress=plain"]

    def prune(self) -> list[str]:
        return [*self._words, "prune", "--all"]


@dataclass
class Peer:
    """A builder under test."""

    name: str
    client: Client
    daemon: Daemon
    folder: Path
    env: Mapping[str, str]

    def build(self, context: Path, ask: Ask | None = None) -> None:
        """One build, to its end. Raises `RuntimeError`."""
        run(self.client.build(context, ask or Ask()), self.env)

    def build_graph(self, definition: Path) -> bool:
        """Whether the client can build LLB; if so, it is built. Raises `RuntimeError`."""
        words = self.client.graph()
        if words is not None:
            with open(definition, "rb") as stdin:
                run(words, self.env, stdin)
        return words is not None

    def build_many(self, contexts: Sequence[Path]) -> None:
        """All at once."""
        with contextlib.ExitStack() as stack:
            started = []
            for context in contexts:
                told = stack.enter_context(tempfile.TemporaryFile())
                process = subprocess.Popen(
                    self.client.build(context, Ask()),
                    env=dict(self.env),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=told,
                )
                started.append((stack.enter_context(process), told))
            failed = [told for process, told in started if process.wait()]
            for told in failed[:1]:
                told.seek(0)
                why = told.read().decode(errors="replace")
                raise RuntimeError(f"{self.name}: {len(failed)} of {len(started)} failed\n{why}")

    def forget(self) -> None:
        """Empty the build cache."""
        run(self.client.prune(), self.env)


def run(
    command: Sequence[str], env: Mapping[str, str], stdin: BinaryIO | int = subprocess.DEVNULL
) -> None:
    """Raises `RuntimeError` with what it said."""
    done = subprocess.run([*command], env=dict(env), stdin=stdin, capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stderr.decode(errors='replace')}")


@contextlib.contextmanager
def opened(folder: Path) -> Iterator[list[Peer]]:
    """All that this machine can have, `buildkit` the last."""
    with contextlib.ExitStack() as stack:
        at = {name: folder / name for name in ("croze", "stock", "buildkit")}
        for each in at.values():
            each.mkdir(parents=True)
        found = []
        own = stack.enter_context(_crozed(at["croze"]))
        warm = _env(at["croze"], CROZE_NO_WARM="0", CROZE_HOST=own.address)
        stack.enter_context(_warm(warm))
        client = Croze(str(CROZE))
        found.append(Peer("croze", client, own, at["croze"], warm))
        other = stack.enter_context(_crozed(at["stock"]))
        env = _env(at["stock"])
        found.append(Peer("stock", _stock(other.address, env), other, at["stock"], env))
        command = daemons.buildkitd_command(at["buildkit"])
        if command is not None:
            env = _env(at["buildkit"])
            real = stack.enter_context(daemons.running(at["buildkit"], command, env))
            found.append(Peer("buildkit", _stock(real.address, env), real, at["buildkit"], env))
        yield found


@contextlib.contextmanager
def _crozed(folder: Path) -> Iterator[Daemon]:
    with daemons.running(folder, daemons.crozed_command(folder), _env(folder)) as daemon:
        yield daemon


def _env(folder: Path, **more: str) -> dict[str, str]:
    """Nothing of the user's own."""
    own = {
        "HOME": str(folder),
        "BUILDX_CONFIG": str(folder / "buildx"),
        "DOCKER_CONFIG": str(folder / "docker"),
        "CROZE_RUNTIME_DIR": str(folder / "run"),
        "CROZE_ROOT": str(folder / "own"),
    }
    return {"PATH": os.environ["PATH"], **own, **more}


def _stock(address: str, env: Mapping[str, str]) -> Client:
    binary = os.environ.get("CROZE_BUILDCTL") or shutil.which("buildctl")
    if binary is not None:
        return Buildctl(binary, address)
    buildx = str(BUILDX["sid"])
    run([buildx, "create", "--driver", "remote", "--name", "bench", address], env)
    return Buildx(buildx, "--builder", "bench")


@contextlib.contextmanager
def _warm(env: Mapping[str, str]) -> Iterator[None]:
    """The user's warm process, which his first build would have left behind."""
    warm = subprocess.Popen(
        [sys.executable, "-m", "croze.cli.warm.process"], env=dict(env), cwd="/"
    )
    try:
        deadline = time.monotonic() + 30
        while not list(Path(env["CROZE_RUNTIME_DIR"]).glob("warm-*.sock")):
            if time.monotonic() > deadline:
                raise RuntimeError("the warm process does not come up")
            time.sleep(0.05)
        yield
    finally:
        warm.terminate()
        warm.wait()
