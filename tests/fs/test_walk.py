"""Walks, follow paths, resolution below a root, and Go's path rules."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from croze.errors import InvalidRequest
from croze.fs import root
from croze.fs.failures import TooManyLinks
from croze.fs.paths import base, clean, dirname, join, rooted, split_wildcards
from croze.fs.tree.follow import follow_links
from croze.fs.tree.walk import WalkOptions, walk
from tests.fs import trees


def names(where: Path, **options: tuple[str, ...]) -> list[str]:
    return [entry.path for entry in walk(str(where), WalkOptions(**options))]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return trees.make(
        tmp_path / "t",
        {
            "a/b/c": "",
            "a/x.md": "",
            "a-b": "",
            "a.go": "",
            "node/m/y": "",
            "node/keep/z": "",
            "é": "",
            "etc/alt/real": "r",
            "bin": ("->", "usr/bin"),
            "usr/bin/tool": ("->", "/etc/alt/link"),
            "usr/bin/other": "",
            "etc/alt/link": ("->", "real"),
            "loop": ("->", "loop"),
        },
    )


def test_order_is_that_of_names_in_directories(tree: Path) -> None:
    found = names(tree)
    assert found[:6] == ["a", "a/b", "a/b/c", "a/x.md", "a-b", "a.go"]
    assert found[-1] == "é"
    (tree / os.fsdecode(b"\xee\x01")).touch()
    (tree / "\U0001f600").touch()
    order = [os.fsencode(name) for name in names(tree) if "/" not in name]
    assert order == sorted(order)


def test_exclusion_with_exceptions(tree: Path) -> None:
    found = names(tree, exclude=("node", "!node/keep", "etc", "usr", "**/*.md"))
    assert found == [
        "a", "a/b", "a/b/c", "a-b", "a.go", "bin", "loop", "node", "node/keep", "node/keep/z", "é",
    ]  # fmt: skip


def test_included_files_bring_their_parents(tree: Path) -> None:
    assert names(tree, include=("a/*/c", "**/real")) == [
        "a", "a/b", "a/b/c", "etc", "etc/alt", "etc/alt/real",
    ]  # fmt: skip
    assert names(tree, include=("a",), exclude=("a/b",)) == ["a", "a/x.md"]
    assert names(tree, include=("nothing",)) == []


def test_excluded_directories_are_not_read(tree: Path) -> None:
    (tree / "node").chmod(0)
    found = names(tree, exclude=("node",))
    assert "a/b/c" in found
    assert "node" not in found


def test_follow_paths(tree: Path) -> None:
    assert follow_links(str(tree), ["bin/tool"]) == [
        "bin", "etc/alt/link", "etc/alt/real", "usr/bin/tool",
    ]  # fmt: skip
    assert follow_links(str(tree), ["../../a", "loop/x"]) == ["../../a", "loop"]
    assert follow_links(str(tree), ["usr/bin/*"]) == [
        "etc/alt/link", "etc/alt/real", "usr/bin/*",
    ]  # fmt: skip
    assert follow_links(str(tree), ["/"]) is None
    assert names(tree, follow_paths=("bin/tool",)) == [
        "bin", "etc", "etc/alt", "etc/alt/link", "etc/alt/real", "usr", "usr/bin", "usr/bin/tool",
    ]  # fmt: skip


def test_hard_links_name_the_first(tree: Path) -> None:
    os.link(tree / "a.go", tree / "z.go")
    entries = {entry.path: entry for entry in walk(str(tree))}
    assert (entries["a.go"].linkname, entries["z.go"].linkname) == ("", "a.go")
    excluded = {e.path: e for e in walk(str(tree), WalkOptions(exclude=("a.go",)))}
    assert excluded["z.go"].linkname == ""


def test_bad_patterns_and_roots(tree: Path) -> None:
    with pytest.raises(InvalidRequest, match=r"invalid excludepatterns: \[\[\]"):
        names(tree, exclude=("[",))
    with pytest.raises(NotADirectoryError):
        names(tree / "a.go")


@pytest.mark.parametrize(
    ("path", "want"),
    [
        ("a/b", "/a/b"),
        ("/up/x", "/x"),
        ("../../etc", "/etc"),
        ("abs/y", "/srv/y"),
        ("chain", "/srv/deep"),
        ("missing/../up", "/"),
        ("", "/"),
    ],
)
@pytest.mark.parametrize("stepwise", [False, True])
def test_resolution_stays_inside(
    tmp_path: Path, path: str, want: str, stepwise: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    top = trees.make(
        tmp_path / "r",
        {
            "a/b": None,
            "x": None,
            "y": "wrong",
            "etc": None,
            "up": ("->", "../../.."),
            "abs": ("->", "/srv"),
            "srv/y": None,
            "srv/deep": None,
            "chain": ("->", "abs/../abs/deep"),
        },
    )
    assert root.resolve_below(str(top), path) == want
    if path.startswith("missing"):
        return  # the kernel wants every component to exist
    monkeypatch.setattr(root, "_have_openat2", not stepwise)
    fd = root.open_beneath(str(top), path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        assert os.path.samestat(os.fstat(fd), os.stat(str(top) + want))
    finally:
        os.close(fd)


def test_links_without_end(tmp_path: Path) -> None:
    trees.make(tmp_path, {"l": ("->", "l"), "f": ""})
    with pytest.raises(TooManyLinks):
        root.resolve(str(tmp_path), "l/x")
    assert root.resolve(str(tmp_path), "l", follow_last=False) == f"{tmp_path}/l"
    with pytest.raises(NotADirectoryError):
        root.resolve(str(tmp_path), "f/x")


def test_wildcard_split() -> None:
    assert split_wildcards("/a/b*/c") == ("/a", "b*/c")
    assert split_wildcards("/*") == ("/", "*")
    assert split_wildcards(r"/a\*/b") == (r"/a\*/b", "")
    assert split_wildcards("a/b") == ("a/b", "")


def test_paths() -> None:
    assert [clean(p) for p in ("", "//a", "a/../..", "./a/")] == [".", "/a", "..", "a"]
    assert [join(), join("", "a"), join("/", "/b"), join("a", "../c")] == ["", "a", "/b", "c"]
    assert [rooted("../x"), rooted("")] == ["/x", "/"]
    assert [base(""), base("/"), base("a/b/")] == [".", "/", "b"]
    assert [dirname("a"), dirname("/a"), dirname("a/b/c")] == [".", "/", "a/b"]
