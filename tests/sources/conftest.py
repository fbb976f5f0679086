from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from croze.fs.mount import enter_private_namespace
from croze.store.contract import SnapshotterName
from tests.registry.conftest import content, host
from tests.session.conftest import Daemon, Hasty, Lend, lending
from tests.sources.rig import Rig, open_rig

__all__ = ["content", "daemon", "host", "lending", "private_namespace", "rig", "snapshotter"]


@pytest.fixture(scope="session", autouse=True)
def private_namespace() -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root to mount")
    enter_private_namespace()


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[Daemon]:
    async with Daemon(tmp_path, Hasty()) as running:
        yield running


@pytest.fixture
def snapshotter() -> SnapshotterName:
    return "auto"


@pytest.fixture
async def rig(
    tmp_path: Path, daemon: Daemon, lending: Lend, snapshotter: SnapshotterName
) -> AsyncIterator[Rig]:
    async with open_rig(tmp_path / "root", daemon, lending, snapshotter) as rig:
        yield rig
