"""What content digests are made of, held against the digests themselves."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from croze.fs.content.checksum import Query, checksum
from croze.fs.content.texts import ContentText, content_texts


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    (root / "d/sub").mkdir(parents=True)
    (root / "d/sub/x.c").write_bytes(b"int x;" * 9000)
    (root / "d/y.c").write_text("int y;")
    (root / "d/empty").touch()
    (root / "link").symlink_to("d/sub")
    (root / os.fsdecode(b"d/\xff")).mkdir()
    (root / os.fsdecode(b"d/\xff/\xfe\xff")).touch()
    os.setxattr(root / "d/y.c", "user.note", b"n")
    os.mkfifo(root / "d/pipe")
    return root


@pytest.mark.parametrize(
    "query",
    [
        Query("/"),
        Query("/d/y.c"),
        Query("/link"),
        Query("/link", follow_links=True),
        Query("/d/*.c", wildcard=True),
        Query("/l*", wildcard=True, follow_links=True),
        Query("/", include=("**/*.c",)),
        Query("/d", exclude=("sub",)),
        Query("/", exclude=("**",)),
    ],
)
def test_pieces_add_up(tree: Path, tmp_path: Path, query: Query) -> None:
    side = str(tmp_path / "side")
    (answer,) = checksum(str(tree), side, [query])
    found = content_texts(str(tree), side, [query])
    assert {text[0]: text for text in found} == {
        text[0]: text for text in content_texts(str(tree), None, [query])
    }
    contents = {p.stat().st_size: p.read_bytes() for p in tree.rglob("*") if p.is_file()}
    for digest, _, pieces in found:
        data = b"".join(contents[p] if isinstance(p, int) else p for p in pieces)
        assert f"sha256:{hashlib.sha256(data).hexdigest()}" == digest
    if answer != f"sha256:{hashlib.sha256().hexdigest()}":
        assert answer in {text[0] for text in found}


def test_of_a_file(tree: Path) -> None:
    found: list[ContentText] = content_texts(str(tree), None, [Query("/d/y.c")])
    ((_, kind, pieces),) = found
    assert kind == "file"
    ids = (b"uid%d" % os.getuid(), b"gid%d" % os.getgid())
    assert pieces[:7] == (b"name", b"mode420", *ids, b"size6", b"typeflag0", b"linkname")
    assert pieces[-2:] == (b"user.noten", 6)
