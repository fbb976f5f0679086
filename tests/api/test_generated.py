"""What is generated from the `.proto` files is what lies beside them."""

from __future__ import annotations

import re
import subprocess
import tomllib
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
    committed = {path.name: path.read_bytes() for path in API.glob("*_pb2*")}
    assert made.keys() == committed.keys()
    assert [name for name in made if made[name] != committed[name]] == []


def test_older_libraries_than_what_is_generated_needs_are_not_allowed() -> None:
    """Messages refuse at the first import: the lower bound goes with `make proto`."""
    project = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    bounds = dict(text.split(">=") for text in project["dependencies"])
    messages = (API / "control_pb2.py").read_text(encoding="utf-8")
    found = re.search(r"Domain\.PUBLIC,\s+(\d+),\s+(\d+),\s+(\d+)", messages)
    assert found is not None
    assert bounds["protobuf"] == ".".join(found.groups())
