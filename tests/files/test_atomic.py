"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from croze.files.atomic import appearing, replaced, write_atomically


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


def test_nothing_takes_the_place_of_a_device_or_a_pipe(tmp_path: Path) -> None:
    """Who may write to `/dev` would lose it."""
    for name in ("/dev/full", "/dev/stdout", "/proc/self/fd/1", "/dev/none"):
        assert replaced(Path(name)) is None
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    write_atomically(pipe, b"x")
    reader.join()
    assert read == [b"x"]
    assert pipe.is_fifo()
    with pytest.raises(OSError, match="No space left"):
        write_atomically(Path("/dev/full"), b"x")
    assert Path("/dev/full").is_char_device()


def test_a_link_leads_to_the_file(tmp_path: Path) -> None:
    """Settings may be kept elsewhere."""
    (tmp_path / "kept").mkdir()
    link = tmp_path / "link"
    link.symlink_to("kept/file")
    write_atomically(link, b"1")
    assert (tmp_path / "kept/file").read_bytes() == b"1"
    with appearing(link) as file:
        file.write(b"2")
    assert link.is_symlink()
    assert link.read_bytes() == b"2"
