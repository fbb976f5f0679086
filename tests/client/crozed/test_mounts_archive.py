"""Cache mounts in a file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from croze.client.crozed.mounts_archive import beside


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.parametrize("theirs", [".", ".."])
def test_what_is_made_beside_a_file_is_in_nobody_elses_directory(
    tmp_path: Path, theirs: str
) -> None:
    file = tmp_path / "a/b/mounts.tar"
    file.parent.mkdir(parents=True)
    assert beside(file) == file.parent
    os.chown(file.parent / theirs, 12345, 12345)
    assert beside(file) is None
