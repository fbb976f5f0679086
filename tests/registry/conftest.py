from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from croze.image import descriptor as media
from croze.image.descriptor import Descriptor
from croze.registry.client import Registry
from tests.registry.blobs import BLOB, Folder
from tests.registry.servers import FAST
from tests.session.conftest import daemon, lending

__all__ = ["daemon", "lending"]


@pytest.fixture
async def client() -> AsyncIterator[Registry]:
    """One that does not wait long before it tries again."""
    registry = Registry(retry=FAST)
    yield registry
    await registry.close()


@pytest.fixture
def blob(tmp_path: Path) -> Descriptor:
    """What `BLOB` is said to be."""
    return Folder(tmp_path).add(BLOB, media.OCI_LAYER_GZIP)
