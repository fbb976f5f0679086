from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from croze.image import descriptor as media
from croze.image.descriptor import Descriptor
from croze.registry.client import Registry
from tests.registry.blobs import BLOB, Folder
from tests.registry.servers import FAST, docker_registry
from tests.session.conftest import daemon, lending

__all__ = ["daemon", "lending"]


@pytest.fixture
async def client() -> AsyncIterator[Registry]:
    """One that does not wait long before it tries again."""
    registry = Registry(retry=FAST)
    yield registry
    await registry.close()


@pytest.fixture
def content(tmp_path: Path) -> Folder:
    """Blobs to be pushed."""
    folder = tmp_path / "content"
    folder.mkdir()
    return Folder(folder)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Debian's registry: `host:port`."""
    with docker_registry(tmp_path_factory.mktemp("registry")) as address:
        yield address


@pytest.fixture
def blob(tmp_path: Path) -> Descriptor:
    """What `BLOB` is said to be."""
    return Folder(tmp_path).add(BLOB, media.OCI_LAYER_GZIP)
