"""`kill -9` at many instants loses nothing that was committed, and leaves nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from croze.store.contract import SnapshotterName

REPO = Path(__file__).parents[2]
ROUNDS = {"overlayfs": 12, "native": 6}


@pytest.mark.root
def test_killed_stores_open_and_verify(tmp_path: Path, kind: SnapshotterName) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.store.killed", str(tmp_path), str(ROUNDS[kind]), kind],
        cwd=REPO,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == f"survived {ROUNDS[kind]}\n", done.stdout + done.stderr
