"""Random projects and edits on a daemon that remembers: it must make what a fresh one makes.

A stale hit is the worst fault that a builder can have. Where a real `buildkitd` is at hand, it
makes the same, too. `CROZE_SEED=0` draws another seed, which a failure
tells; `CROZE_FUZZ` makes a run longer.
"""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e import peers
from tests.e2e.app import base
from tests.e2e.peers import Client, Outcome
from tests.e2e.projects import Project
from tests.e2e.sandbox import CROZE, Sandbox

SEED = int(os.environ.get("CROZE_SEED", "1")) or random.SystemRandom().randrange(1 << 30)
LONGER = int(os.environ.get("CROZE_FUZZ", "1"))
EDITS = 6


@pytest.fixture(scope="module")
def their_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real `buildkitd`'s; empty where there is none."""
    binary = peers.buildkitd_binary()
    if binary is None:
        yield ""
        return
    with peers.buildkitd(binary, tmp_path_factory.mktemp("peer") / "b") as address:
        yield address


@contextmanager
def fresh(folder: Path) -> Iterator[Sandbox]:
    """A daemon that knows nothing."""
    with Sandbox(folder).running() as made:
        yield made


def disturb(daemon: Sandbox, chance: random.Random) -> str:
    """Now and then the cache is pruned, or the daemon starts again, however it ended."""
    match chance.randrange(8):
        case 0:
            daemon.croze("prune", "-f")
            return "prune"
        case 1:
            daemon.croze("prune", "-f", "--filter", "type=regular")
            return "prune of what steps made"
        case 2:
            daemon.stop()
            daemon.start()
            return "restart"
        case 3:
            daemon.stop(signal.SIGKILL)
            daemon.start()
            return "kill"
    return "nothing"


def words(busybox: Path, project: Project) -> list[str]:
    return [*base(busybox), "--target", project.stages[-1].name, str(project.folder)]


def comparable(found: Outcome) -> object:
    """Without times: what the cache has may be older. The shell that all share is left out."""
    if found.error:
        return found.error
    return [[*entry[:6], entry[7]] for layer in found.layers for entry in layer]


@pytest.mark.timeout(600 * LONGER)
@pytest.mark.parametrize("stock", [False, True], ids=["croze", "buildx"])
@pytest.mark.parametrize("number", range(LONGER))
def test_edits_on_a_daemon_that_remembers(
    sandbox: Sandbox, busybox: Path, their_address: str, tmp_path: Path, *, stock: bool, number: int
) -> None:
    chance = random.Random(f"{SEED}/{number}/{stock}")
    project = Project(tmp_path / "project", chance, honest=stock)
    done = [f"CROZE_SEED={SEED}"]
    ours = Client("croze", (str(CROZE),), sandbox.env)
    if stock:
        ours = peers.buildx("ours", sandbox.address, sandbox.env)
    for step in range(EDITS):
        found = ours.build(tmp_path, *words(busybox, project), output="tar")
        expect_same(found, fresh_outcomes(tmp_path / f"f{step}", busybox, project), done)
        if their_address:
            expect_same(found, [their_outcome(their_address, sandbox, busybox, project)], done)
        done += [project.edit() for _ in range(chance.randint(1, 3))]
        done.append(disturb(sandbox, chance))


def fresh_outcomes(folder: Path, busybox: Path, project: Project) -> list[Outcome]:
    with fresh(folder) as other:
        client = Client("fresh", (str(CROZE),), other.env)
        return [client.build(folder, *words(busybox, project), output="tar")]


def their_outcome(address: str, sandbox: Sandbox, busybox: Path, project: Project) -> Outcome:
    """Made anew, from a directory that their cache of contexts doesn't know."""
    name = f"theirs{len(list(sandbox.path.glob('theirs*')))}"
    project.copy_to(sandbox.path / name)
    client = peers.buildx(name, address, sandbox.env)
    args = words(busybox, project)[:-1]
    return client.build(sandbox.path, "--no-cache", *args, str(sandbox.path / name), output="tar")


def expect_same(found: Outcome, others: Sequence[Outcome], done: Sequence[str]) -> None:
    for other in others:
        ours, theirs = comparable(found), comparable(other)
        if ours != theirs:
            told = "\n".join(done)
            raise AssertionError(f"{told}\n{difference(ours, theirs)}\n{found.log}\n{other.log}")


def difference(ours: object, theirs: object) -> str:
    if not isinstance(ours, list) or not isinstance(theirs, list):
        return f"{ours}\n{theirs}"
    gone = [entry for entry in theirs if entry not in ours]
    more = [entry for entry in ours if entry not in theirs]
    return f"missing: {gone}\nnot expected: {more}"
