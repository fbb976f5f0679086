"""What a daemon must not leave behind: on the machine, and below its root."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.sandbox import Sandbox

EMPTY = ("ingest", "trash", "mnt", "executor/pid", "executor/bundle", "executor/state", "side")
"""Directories below the root in which nothing is when nothing is under way or in the cache."""


@dataclass(frozen=True)
class Machine:
    """What there is of kinds that have no owner's name."""

    cgroups: frozenset[str]
    namespaces: frozenset[str]

    @classmethod
    def now(cls) -> Machine:
        return cls(frozenset(_cgroups()), frozenset(_named_namespaces()))

    def remains(self, sandbox: Sandbox) -> list[str]:
        """After the daemon has stopped."""
        found = [leftover for leftover in sandbox.wait_no_leftovers() if not _is_ours(leftover)]
        now = Machine.now()
        found += [f"cgroup {path}" for path in sorted(now.cgroups - self.cgroups)]
        found += [f"network namespace {name}" for name in sorted(now.namespaces - self.namespaces)]
        temporary = (sandbox.path / "tmp").iterdir()
        found += [f"temporary file {path}" for path in temporary if not _of_clients(path)]
        return [*found, *below_root(sandbox.root)]


def below_root(root: Path) -> list[str]:
    """Of a daemon whose cache is empty."""
    found = [f"{root / name}: {e}" for name in EMPTY for e in _entries(root / name)]
    for path in root.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            if path.is_socket() or path.is_fifo():
                found.append(f"socket {path}")
    return found


def _is_ours(leftover: str) -> bool:
    return "tests.soak" in leftover or "docker-registry" in leftover


def _of_clients(path: Path) -> bool:
    """Who is killed can't remove what was read from the standard input."""
    return path.name.startswith("croze-dockerfile-")


def _entries(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []


def _cgroups() -> Iterator[str]:
    for top, names, _ in os.walk("/sys/fs/cgroup"):
        if "docker" in names:
            names.remove("docker")  # an engine's, which has nothing to do with us
        yield from (os.path.join(top, name) for name in names)


def _named_namespaces() -> Iterator[str]:
    yield from _entries(Path("/run/netns"))
