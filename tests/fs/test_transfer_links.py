"""Hard links in a tree that is received."""

from __future__ import annotations

import os
from pathlib import Path

from croze.fs.content.checksum import Query, checksum
from tests.fs import trees
from tests.fs.wired import notes, transfer


def test_links_to_a_file_whose_content_is_another(tmp_path: Path) -> None:
    """Though it looks as before: what is asked for again tells, and links are made after that."""
    source, dest = tmp_path / "s", tmp_path / "d"
    trees.make(source, {"a": "1", "d/z": "2"})
    for name in ("b", "d/y"):
        os.link(source / "a", source / name)
    everything = {**notes(tmp_path), "differ": "none"}
    transfer(source, dest, **everything)
    assert transfer(source, dest, **everything).changed == 0
    before = os.stat(source / "a")
    (source / "a").write_text("3")
    os.utime(source / "a", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert transfer(source, dest, **everything).changed == 3
    assert trees.read(dest) == trees.read(source)
    assert (dest / "a").samefile(dest / "b")
    assert (dest / "a").samefile(dest / "d/y")
    queries = [Query("/" + name) for name in ("a", "b", "d")]
    remembered = checksum(str(dest), str(tmp_path / "index"), queries)
    assert remembered == checksum(str(dest), None, queries)
