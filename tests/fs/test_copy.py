"""Copies: destination rules, patterns, attributes, links and errors."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from croze.errors import CrozeError, NotFound
from croze.fs.copy.copy import copy
from croze.fs.copy.links import claim
from croze.fs.copy.request import CopyRequest
from croze.fs.owner import NumericOwner
from tests.fs import trees

SOURCE: trees.Tree = {
    "a.txt": "a",
    "b.txt": "b",
    "d/one": "1",
    "d/sub/two": "2",
    "d/sub/three.md": "3",
    "link": ("->", "d"),
    "flink": ("->", "a.txt"),
    "abs": ("->", "/d/one"),
}


class Roots:
    def __init__(self, root: Path) -> None:
        self.src = trees.make(root / "src", SOURCE)
        self.dst = trees.make(root / "dst", {})

    def copy(self, src: str, dst: str, **options: Any) -> trees.Tree:
        options.setdefault("create_dest_path", True)
        copy(CopyRequest(str(self.src), src, str(self.dst), dst, **options))
        return trees.read(self.dst)


@pytest.fixture
def roots(tmp_path: Path) -> Roots:
    return Roots(tmp_path)


D: trees.Tree = {"one": "1", "sub": None, "sub/two": "2", "sub/three.md": "3"}


def below(name: str, tree: trees.Tree) -> trees.Tree:
    parts = name.split("/")
    parents: trees.Tree = {"/".join(parts[: i + 1]): None for i in range(len(parts))}
    return parents | {f"{name}/{path}": what for path, what in tree.items()}


def test_file_to_new_name_and_into_directory(roots: Roots) -> None:
    assert roots.copy("/a.txt", "/x/y") == {"x": None, "x/y": "a"}
    assert roots.copy("/b.txt", "/x/") == {"x": None, "x/y": "a", "x/b.txt": "b"}
    assert roots.copy("/b.txt", "/x") == {"x": None, "x/y": "a", "x/b.txt": "b"}
    assert roots.copy("/b.txt", "/x/y")["x/y"] == "b"


def test_directory_as_new_name_into_existing_and_poured(roots: Roots) -> None:
    assert roots.copy("/d", "/n") == below("n", D)
    assert roots.copy("/d", "/n") == below("n", D) | below("n/d", D)


def test_directory_contents(roots: Roots) -> None:
    assert roots.copy("/d", "/p/q", dir_copy_contents=True) == below("p/q", D)
    assert roots.copy("/d", "/p/q", dir_copy_contents=True) == below("p/q", D)
    assert roots.copy("/", "/", dir_copy_contents=True) == below("p/q", D) | trees.read(roots.src)


def test_links(roots: Roots) -> None:
    assert roots.copy("/link", "/x") == {"x": ("->", "d")}
    assert roots.copy("/flink", "/y", follow_symlink=True)["y"] == "a"
    assert roots.copy("/abs", "/z", follow_symlink=True)["z"] == "1"
    assert roots.copy("/link/one", "/w")["w"] == "1"


def test_wildcards(roots: Roots) -> None:
    wild = {"allow_wildcard": True}
    assert roots.copy("/*.txt", "/t/", **wild) == {"t": None, "t/a.txt": "a", "t/b.txt": "b"}
    assert roots.copy("/d/*/t*", "/u/", **wild)["u/two"] == "2"
    with pytest.raises(NotFound, match=r"/\*\.zip not found"):
        roots.copy("/*.zip", "/t/", **wild)
    roots.copy("/*.zip", "/t/", allow_empty_wildcard=True, **wild)


def test_wildcards_look_through_a_link_that_is_followed(roots: Roots) -> None:
    wild = {"allow_wildcard": True}
    with pytest.raises(NotFound, match=r"/link/\* not found"):
        roots.copy("/link/*", "/t/", **wild)
    assert "t/one" in roots.copy("/link/*", "/t/", follow_symlink=True, **wild)


def test_patterns(roots: Roots) -> None:
    include = {"include": ("**/t*",), "exclude": ("**/*.md",), "dir_copy_contents": True}
    assert roots.copy("/", "/o", **include) == below("o/d/sub", {"two": "2"})


def test_lazily_made_directories_have_the_time_of_what_comes_into_them(roots: Roots) -> None:
    """As with BuildKit, which sets their times before it makes what is in them."""
    os.utime(roots.src / "d/sub", ns=(5 * 10**17, 5 * 10**17))
    os.utime(roots.src / "d", ns=(5 * 10**17, 5 * 10**17))
    roots.copy("/", "/o", include=("d/sub/two",), dir_copy_contents=True)
    assert (roots.dst / "o/d/sub").stat().st_mtime_ns > 10**18
    assert (roots.dst / "o/d").stat().st_mtime_ns > 10**18
    assert (roots.dst / "o").stat().st_mtime_ns == (roots.src).stat().st_mtime_ns


def test_attributes_come_along(roots: Roots) -> None:
    file = roots.src / "d/one"
    os.setxattr(file, "user.x", b"y")
    file.chmod(0o4755)
    os.utime(file, ns=(4 * 10**17, 4 * 10**17 + 5))
    roots.copy("/d", "/n")
    st = (roots.dst / "n/one").stat()
    assert stat.S_IMODE(st.st_mode) == 0o4755
    assert st.st_mtime_ns == 4 * 10**17 + 5
    assert os.getxattr(roots.dst / "n/one", "user.x") == b"y"


@pytest.mark.root
def test_owner_mode_and_time_are_set(roots: Roots) -> None:
    time = 3 * 10**17
    roots.copy("/d", "/new/n", owner=NumericOwner(7, 8), mode=0o2711, timestamp_ns=time)
    for path, mode in (("new", 0o711), ("new/n", 0o2711), ("new/n/one", 0o2711)):
        st = (roots.dst / path).stat()
        assert (st.st_uid, st.st_gid, stat.S_IMODE(st.st_mode)) == (7, 8, mode), path
        assert st.st_mtime_ns == time, path


def test_symbolic_mode(roots: Roots) -> None:
    (roots.src / "a.txt").chmod(0o644)
    (roots.src / "d").chmod(0o755)
    roots.copy("/a.txt", "/f", mode_str="u=rwX,go=")
    roots.copy("/d", "/g", mode_str="u=rwX,go=")
    assert stat.S_IMODE((roots.dst / "f").stat().st_mode) == 0o600
    assert stat.S_IMODE((roots.dst / "g").stat().st_mode) == 0o700


def test_type_conflicts(roots: Roots) -> None:
    trees.make(roots.dst, {"d": "a file", "a.txt/in": "a dir", "deep/d/sub": "file"})
    with pytest.raises(CrozeError, match=r"^cannot copy to non-directory: /deep/d/sub$"):
        roots.copy("/d", "/deep", dir_copy_contents=False)
    with pytest.raises(CrozeError, match="cannot replace to directory"):
        roots.copy("/", "/", dir_copy_contents=True)
    result = roots.copy("/", "/", dir_copy_contents=True, always_replace=True)
    assert {key: result[key] for key in ("d", "a.txt", "d/one")} == {
        "d": None,
        "a.txt": "a",
        "d/one": "1",
    }


def test_hard_links_are_kept(roots: Roots) -> None:
    os.link(roots.src / "d/one", roots.src / "d/again")
    roots.copy("/d", "/n")
    assert (roots.dst / "n/one").samefile(roots.dst / "n/again")
    assert not (roots.dst / "n/one").samefile(roots.src / "d/one")


def test_linking_unchanged_files(roots: Roots, tmp_path: Path) -> None:
    notes = tmp_path / "links"
    notes.touch()
    options = {"link_notes": str(notes), "dir_copy_contents": True}
    roots.copy("/d", "/n", **options)
    assert (roots.dst / "n/one").samefile(roots.src / "d/one")
    roots.copy("/d", "/n", **options, mode=0o700)
    assert not (roots.dst / "n/one").samefile(roots.src / "d/one")
    roots.copy("/d", "/n", **options)
    roots.copy("/a.txt", "/n/one")
    assert (roots.src / "d/one").read_text() == "1"


@pytest.mark.parametrize(
    ("source", "target", "links"),
    [
        ("/d", "/n", True),
        ("/d", "/m", False),
        ("/d/sub", "/n/sub", True),
        ("/d/sub", "/m", False),
        ("/", "/", False),
        ("/other", "/m", True),
    ],
)
def test_a_file_is_linked_to_one_place(
    tmp_path: Path, source: str, target: str, links: bool
) -> None:
    notes = tmp_path / "links"
    assert not claim(str(notes), "/d", "/n")
    notes.touch()
    assert claim(str(notes), "/d", "/n")
    assert claim(str(notes), source, target) is links
    assert claim(str(notes), "/d", "/n")


def test_escapes_stay_inside(roots: Roots, tmp_path: Path) -> None:
    outside = trees.make(tmp_path / "outside", {"f": "safe"})
    trees.make(roots.dst, {"esc": ("->", str(outside)), "up": ("->", "../../..")})
    roots.copy("/a.txt", "/esc/f")
    roots.copy("/a.txt", "/up/g")
    roots.copy("/a.txt", "/../../h")
    assert trees.read(outside) == {"f": "safe"}
    assert (roots.dst / "g").read_text() == (roots.dst / "h").read_text() == "a"
    assert Path(f"{roots.dst}{outside}/f").read_text() == "a"


def test_errors_name_paths_inside(roots: Roots) -> None:
    with pytest.raises(NotFound) as caught:
        roots.copy("/missing", "/x")
    assert str(caught.value) == "lstat /missing: no such file or directory"
    with pytest.raises(NotFound, match="failed to stat /no/x"):
        roots.copy("/a.txt", "/no/x", create_dest_path=False)
    with pytest.raises(CrozeError, match="invalid excludepatterns"):
        roots.copy("/d", "/x", exclude=("[",))


@pytest.mark.root
def test_special_files(roots: Roots) -> None:
    os.mkfifo(roots.src / "d/fifo")
    os.mknod(roots.src / "d/null", 0o020666, os.makedev(1, 3))
    roots.copy("/d", "/n")
    assert stat.S_ISFIFO((roots.dst / "n/fifo").stat().st_mode)
    assert (roots.dst / "n/null").stat().st_rdev == os.makedev(1, 3)
