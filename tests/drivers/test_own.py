"""The user's own daemon, where builds go to one that somebody else has started."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from croze.drivers import places
from croze.drivers.contract import NodeStatus
from croze.drivers.own import OwnDriver
from croze.errors import Unsupported
from croze.rpc.server import Server
from tests.conformance.drivers import check_streams
from tests.rpc.served import served


@asynccontextmanager
async def listening(folder: Path, state: Path) -> AsyncIterator[str]:
    """A daemon with that state; where it listens."""
    path = folder / "somewhere.sock"
    state.mkdir()
    (state / "crozed.addresses").write_text(f"tcp://127.0.0.1:1\nunix://{path}\n")
    async with served(Server(), path):
        yield f"unix://{path}"


@pytest.fixture
def states(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    monkeypatch.setenv("CROZE_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("CROZE_ROOT", str(tmp_path / "own"))
    monkeypatch.setattr(places, "default_daemon_state", lambda: str(tmp_path / "default"))
    return {"own": tmp_path / "own", "default": tmp_path / "default"}


@pytest.mark.parametrize("of", ["own", "default"])
async def test_what_builds_go_to_is_what_is_shown_and_dialled(
    tmp_path: Path, states: dict[str, Path], of: str
) -> None:
    driver = OwnDriver()
    assert await driver.status() is NodeStatus.INACTIVE
    async with listening(tmp_path, states[of]):
        assert await driver.status() is NodeStatus.RUNNING
        await driver.boot()
        await check_streams(driver)


async def test_one_that_croze_does_not_start_it_does_not_stop(
    tmp_path: Path, states: dict[str, Path]
) -> None:
    async with listening(tmp_path, states["default"]) as address:
        with pytest.raises(Unsupported, match=f"the daemon at {address} is not one that croze "):
            await OwnDriver().stop()
        assert await OwnDriver().status() is NodeStatus.RUNNING
