"""Files that are written to be synchronized."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from croze.fs import filecopy
from croze.fs.filecopy import WRITEBACK_BYTES, EarlyWriteback, begin_writeback
from croze.fs.tar.write import write_layer


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """What the disk begins with: from where, and how much."""
    found: list[tuple[int, int]] = []

    def note(fd: int, start: int, size: int) -> None:
        found.append((start, size))
        begin_writeback(fd, start, size)

    monkeypatch.setattr(filecopy, "begin_writeback", note)
    return found


@pytest.mark.parametrize("compression", ["uncompressed", "gzip", "zstd", "estargz"])
def test_the_disk_begins_with_a_layer_while_it_is_written(
    tmp_path: Path, begun: list[tuple[int, int]], compression: str
) -> None:
    """Of what is to be synchronized at the end all but the last has been begun with."""
    upper = tmp_path / "upper"
    upper.mkdir()
    (upper / "file").write_bytes(os.urandom(3 * WRITEBACK_BYTES))
    sums = write_layer(str(tmp_path / "blob"), str(upper), compression=compression)
    assert len(begun) >= 2
    end = 0
    for start, size in begun:
        assert start == end
        end += size
    assert sums.size - end < WRITEBACK_BYTES


def test_what_is_no_file_is_not_begun_with() -> None:
    reading, writing = os.pipe()
    try:
        begin_writeback(writing, 0, 1)
        EarlyWriteback(writing).wrote(WRITEBACK_BYTES)
    finally:
        os.close(reading)
        os.close(writing)
