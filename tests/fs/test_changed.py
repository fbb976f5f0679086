"""Files that differ between two trees, from their saved indexes alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from croze.fs.content.changed import FileChange, changed_files
from croze.fs.content.checksum import Query, checksum
from croze.fs.remove import remove_tree


class Trees:
    def __init__(self, path: Path) -> None:
        self.path = path

    def index(self, name: str, files: dict[str, str], *queries: Query) -> str:
        """Make a tree, compute what `queries` ask for, and throw the tree away."""
        root = self.path / name
        for relative, content in files.items():
            target = root / relative
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(content)
        checksum(str(root), str(self.path / f"{name}.index"), queries)
        remove_tree(root)
        return str(self.path / f"{name}.index")


@pytest.fixture
def trees(tmp_path: Path) -> Trees:
    return Trees(tmp_path)


def test_added_removed_and_changed(trees: Trees) -> None:
    whole = Query("/")
    old = trees.index("old", {"a": "1", "d/b": "2", "d/c": "3"}, whole)
    new = trees.index("new", {"a": "1", "d/b": "changed", "d/x/y": "new"}, whole)
    found = changed_files(old, new, [whole], 10)
    assert found is not None
    assert found.files == (
        FileChange("d/b", "changed"),
        FileChange("d/c", "removed"),
        FileChange("d/x/y", "added"),
    )
    assert (found.count, found.total) == (3, 3)


def test_only_what_was_asked_for_counts(trees: Trees) -> None:
    query = Query("/src", include=("*.c",))
    old = trees.index("old", {"src/a.c": "1", "src/a.o": "1", "readme": "1"}, query)
    new = trees.index("new", {"src/a.c": "2", "src/a.o": "2", "readme": "2"}, query)
    found = changed_files(old, new, [query], 10)
    assert found is not None
    assert found.files == (FileChange("src/a.c", "changed"),)
    plain = Query("/readme")
    old = trees.index("old", {"src/a.c": "1", "readme": "1"}, plain)
    new = trees.index("new", {"src/a.c": "2", "readme": "2"}, plain)
    found = changed_files(old, new, [plain], 10)
    assert found is not None
    assert found.files == (FileChange("readme", "changed"),)


def test_the_list_is_cut_and_the_count_is_not(trees: Trees) -> None:
    whole = Query("/")
    old = trees.index("old", {"f": "1"}, whole)
    new = trees.index("new", {f"n{i:03}": "" for i in range(100)}, whole)
    found = changed_files(old, new, [whole], 3)
    assert found is not None
    assert [f.path for f in found.files] == ["f", "n000", "n001"]
    assert found.count == 101


def test_a_list_that_is_gone(trees: Trees) -> None:
    there = trees.index("there", {"a": "1"}, Query("/"))
    assert changed_files(there, str(trees.path / "gone"), [Query("/")], 3) is None
