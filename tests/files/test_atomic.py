"""Files that appear whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from croze.files.atomic import appearing


def fail(path: Path) -> None:
    with appearing(path) as file:
        file.write(b"other")
        raise ValueError("no")


def test_a_file_that_appears_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with appearing(path) as file:
        file.write(b"x")
        assert not path.exists()
    assert path.read_bytes() == b"x"
    with pytest.raises(ValueError, match="no"):
        fail(path)
    assert path.read_bytes() == b"x"
    assert list(tmp_path.iterdir()) == [path]
    with appearing(Path("/dev/null")) as file:
        file.write(b"x")
    assert not Path("/dev/null").is_file()
