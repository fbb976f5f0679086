"""What is generated from the `.proto` files is what lies beside them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
API = REPO / "src" / "croze" / "api"


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("proto")
    subprocess.run([REPO / "scripts" / "proto.sh", target], check=True, capture_output=True)
    return target / "croze" / "api"


def test_nothing_generated_is_stale_or_missing(generated: Path) -> None:
    made = {path.name: path.read_bytes() for path in generated.iterdir()}
    kept = {path.name: path.read_bytes() for path in API.glob("*_pb2*")}
    assert made.keys() == kept.keys()
    assert [name for name in made if made[name] != kept[name]] == []
