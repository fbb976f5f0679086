"""Files of containers, of which somebody else disposes meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path

import msgspec
import pytest

from croze.engineapi.containers.container import OneContainer, StoredState
from croze.engineapi.containers.manager import Containers
from croze.engineapi.containers.spec import Create
from croze.engineapi.events import EventLog
from croze.errors import AlreadyExists
from croze.image.config import RunConfig
from croze.runtime.contract import Container, ContainerSpec, Process, Stdio
from croze.runtime.inroot import RootedRequest
from croze.store.contract import ImmutableRef
from croze.store.open import open_store
from tests.store.pools import ThreadPool
from tests.store.sources import Sources

pytestmark = pytest.mark.root

ID = "a" * 64


class Nobody:
    """An executor that is not to be asked."""

    async def run(
        self, spec: ContainerSpec, process: Process, stdio: Stdio, *, id: str = ""
    ) -> int:
        raise AssertionError(id)

    def start(
        self, spec: ContainerSpec, process: Process, stdio: Stdio, *, id: str = ""
    ) -> AbstractAsyncContextManager[Container]:
        raise AssertionError(id)


async def no_image(name: str, platform: str) -> tuple[RunConfig, ImmutableRef | None]:
    raise AssertionError("what the container has written is taken from who runs it")


@pytest.fixture
async def containers(tmp_path: Path) -> AsyncIterator[Containers]:
    """With one that has ended."""
    folder = tmp_path / "containers" / ID
    folder.mkdir(parents=True)
    state = StoredState(ID, "one", 1, Create(), "", "x", RunConfig(), status="exited")
    (folder / "state.json").write_bytes(msgspec.json.encode(state))
    store = await open_store(
        tmp_path / "root", ThreadPool(), snapshotter="native", fetchers=Sources().fetcher
    )
    try:
        made = Containers(
            folder.parent, store.refs, Nobody(), EventLog(), no_image, nullcontext[None]
        )
        async with made.running():
            yield made
    finally:
        await store.close()


async def read(containers: Containers, one: OneContainer) -> None:
    async with containers.reaching(one, RootedRequest("stat", "")):
        raise AssertionError("it has no files")


async def test_one_that_is_started_while_its_files_are_waited_for(containers: Containers) -> None:
    """Who runs it has all that it wrote from then on."""
    one = containers.find(ID)
    async with one.at_rest:
        reading = asyncio.get_running_loop().create_task(read(containers, one))
        removing = asyncio.get_running_loop().create_task(containers.remove(one))
        await asyncio.sleep(0)
        one.state.status = "running"
    with pytest.raises(AlreadyExists, match="is not running"):  # nor is its process there yet
        await reading
    with pytest.raises(
        AlreadyExists, match=r'cannot remove container "/one": container is running'
    ):
        await removing
    assert containers.find(ID) is one
    one.state.status = "exited"
