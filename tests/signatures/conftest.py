from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.signatures.gnupg import GnuPG


@pytest.fixture(scope="module")
def gnupg(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GnuPG]:
    made = GnuPG(tmp_path_factory.mktemp("gnupg") / "home")
    yield made
    made.close()


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    return tmp_path
