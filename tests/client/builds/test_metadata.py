"""The files that tell of a build: refused in buildx's words where they can't be."""

from __future__ import annotations

from pathlib import Path

import pytest

from croze.client.builds.metadata import NotWritten, write_metadata


def test_where_no_metadata_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path, said in (
        (tmp_path, "cannot write to a directory"),
        (tmp_path / "no/m", f"invalid output path: stat {tmp_path}/no: no such file or directory"),
        (tmp_path / "file/m", f"invalid output path: stat {tmp_path}/file: not a directory"),
    ):
        with pytest.raises(NotWritten) as caught:
            write_metadata(str(path), {})
        assert str(caught.value) == said
