"""Archives that nobody sane would write: one clear error or a tree inside the root, never more, and
the same each time."""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from croze.errors import Corrupted
from croze.fs.tar.apply import apply_layer
from croze.fs.tar.archive import unpack
from croze.fs.tar.read import TarReader
from croze.fs.temporary import temporary_directory
from tests.fs import trees
from tests.fs.headers import header, padded, record
from tests.support.settled import Refusal, attempt

FACTOR = int(os.environ.get("CROZE_FUZZ", "1"))
EFFORT = settings(
    max_examples=100 * FACTOR,
    deadline=None,
    derandomize=FACTOR == 1,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
TAR = "application/vnd.oci.image.layer.v1.tar"
OUTSIDE: trees.Tree = {"secret": "safe", "sub": None, "sub/x": "safe"}

WORDS = st.sampled_from(
    (
        *("a", "b", "l", "ü", "..", ".", "", "outside", "secret", "dest", "\0", "x" * 300),
        *(".wh.a", ".wh..wh..opq", ".wh.", ".wh..."),
    )
)
PATHS = st.builds(
    lambda top, words: top + "/".join(words),
    st.sampled_from(["", "/", "../", "./", "//", "../../outside/"]),
    st.lists(WORDS, min_size=1, max_size=4),
)
NUMBERS = st.one_of(
    st.sampled_from(
        [0, 1, 0o777, 0o7777, 1 << 31, (1 << 32) - 1, 1 << 32, (1 << 62), (1 << 63) - 1]
    ),
    st.integers(0, 1000),
)
TEXTS = st.one_of(
    st.binary(max_size=12),
    st.sampled_from([b"", b"1.x", b"-", b"1e9", b"-9.9", b"x.5", b"9" * 30, b"a\0b", b"\xff/../x"]),
    PATHS.map(os.fsencode),
)
KEYS = st.sampled_from(
    (
        *("path", "linkpath", "size", "uid", "gid", "mtime"),
        *(f"SCHILY.xattr.{name}" for name in ("", "user.a", "user.\0", "security.capability")),
        *("SCHILY.xattr.trusted.overlay.opaque", "GNU.sparse.name", "GNU.sparse.map"),
        *(f"GNU.sparse.{name}" for name in ("major", "minor", "realsize", "size")),
        *("GNU.sparse.offset", "GNU.sparse.numbytes"),
    )
)
FLAGS = st.sampled_from([*list("0000555522211346SLKxgX7V"), "\x00", "ÿ"])


@st.composite
def members(draw: st.DrawFn) -> bytes:
    out = b""
    pairs = draw(st.lists(st.tuples(KEYS, TEXTS), max_size=3)) if draw(st.booleans()) else []
    if pairs:
        body = b"".join(record(key, value) for key, value in pairs)
        out += header(b"pax", "x", len(body)) + padded(body)
    content = draw(st.one_of(st.binary(max_size=40), st.just(b"2\n0\n5\n9\n3\n" + bytes(600))))
    size = draw(st.one_of(st.just(len(content)), NUMBERS)) if draw(st.booleans()) else len(content)
    out += header(
        os.fsencode(draw(PATHS)),
        draw(FLAGS),
        size,
        link=os.fsencode(draw(PATHS)),
        ids=(draw(NUMBERS), draw(NUMBERS)),
        mode=draw(NUMBERS),
        mtime=draw(NUMBERS),
        device=(draw(NUMBERS), draw(NUMBERS)),
        magic=draw(st.sampled_from([b"ustar\x0000", b"ustar  \0", bytes(8)])),
    )
    return out + padded(content)


@st.composite
def archives(draw: st.DrawFn) -> bytes:
    data = bytearray(b"".join(draw(st.lists(members(), max_size=6))))
    for _ in range(draw(st.integers(0, 2))):
        if data:
            data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data) + bytes(draw(st.sampled_from([0, 512, 1024, 1024])))


@contextmanager
def place() -> Iterator[Path]:
    with temporary_directory("fuzz") as folder:
        root = Path(folder)
        trees.make(root / "outside", {"secret": "safe", "sub/x": "safe"})
        (root / "dest").mkdir()
        yield root
        assert trees.read(root / "outside") == OUTSIDE
        assert sorted(os.listdir(root)) == ["blob", "dest", "outside"]


End = tuple[Refusal | None, set[str]]
"""What was wrong, if anything; and the paths that are there."""


def end_of(data: bytes, unpack_into: Callable[[str, str], object]) -> End:
    with place() as root:
        (root / "blob").write_bytes(data)
        said = attempt(lambda: unpack_into(str(root / "blob"), str(root / "dest")))
        made = {str(path.relative_to(root)) for path in (root / "dest").rglob("*")}
        return said if isinstance(said, Refusal) else None, made


@pytest.mark.parametrize("overlay", [False, True])
@EFFORT
@given(data=archives())
def test_any_layer_is_unpacked_or_refused(overlay: bool, data: bytes) -> None:
    def unpack_layer(blob: str, into: str) -> None:
        apply_layer(blob, TAR, into, overlay=overlay)

    assert end_of(data, unpack_layer) == end_of(data, unpack_layer)


@EFFORT
@given(data=archives())
def test_any_added_archive_is_unpacked_or_refused(data: bytes) -> None:
    def unpack_archive(blob: str, into: str) -> None:
        unpack(blob, into, "/at")

    assert end_of(data, unpack_archive) == end_of(data, unpack_archive)


class Endless:
    """A stream that goes on for ever with the same."""

    def __init__(self, start: bytes, again: bytes) -> None:
        self._next = start
        self._again = again
        self.given = 0

    def read(self, size: int = -1, /) -> bytes:
        data, self._next = self._next, self._again
        self.given += len(data)
        return data


@pytest.mark.parametrize(
    ("start", "again"),
    [
        pytest.param(
            header(b"x", "x", 54)
            + padded(record("GNU.sparse.major", b"1") + record("GNU.sparse.minor", b"0"))
            + header(b"sparse", "0", 1 << 40),
            b"1" * 65536,
            id="a sparse map without end",
        ),
        pytest.param(
            header(b"long", "L", 1 << 20), header(b"long", "L", 1 << 20) * 2048, id="names"
        ),
        pytest.param(
            header(b"s", "S", 0)[:482] + b"\1" + header(b"s", "S", 0)[483:],
            b"\1" * 512 * 512,
            id="gnu",
        ),
    ],
)
def test_what_never_ends_takes_no_memory(start: bytes, again: bytes) -> None:
    reader = TarReader(Endless(start, again))
    tracemalloc.start()
    try:
        with pytest.raises(Corrupted):
            list(reader)
        assert tracemalloc.get_traced_memory()[1] < 40 << 20
    finally:
        tracemalloc.stop()


def test_giants_of_holes_take_no_space(tmp_path: Path) -> None:
    """Nor time: as many as one likes, each of 8 TiB."""
    sparse = record("GNU.sparse.map", b"0,1") + record("GNU.sparse.size", b"%d" % (8 << 40))
    notes = header(b"x", "x", len(sparse)) + padded(sparse)
    giants = (notes + header(b"giant%d" % n, "0", 1) + padded(b"!") for n in range(9))
    (tmp_path / "blob").write_bytes(b"".join(giants) + bytes(1024))
    (tmp_path / "dest").mkdir()
    said = attempt(lambda: apply_layer(str(tmp_path / "blob"), TAR, str(tmp_path / "dest")))
    if isinstance(said, Refusal):
        assert "file too large" in said.text  # the filesystem below has a limit
    used = sum(f.stat().st_blocks for f in (tmp_path / "dest").iterdir()) * 512
    assert used < 1 << 20


def sparse(*fields: tuple[bytes, bytes], size: bytes = b"1000") -> bytes:
    """The header of GNU's own sparse file of 4 bytes."""
    head = bytearray(header(b"s", "S", 4))
    for at, field in enumerate(fields):
        head[386 + 24 * at : 410 + 24 * at] = b"".join(each.ljust(12, b"\0") for each in field)
    head[483:495] = size.ljust(12, b"\0")
    head[148:156] = b" " * 8
    return bytes(head[:148]) + b"%06o\0 " % sum(head) + bytes(head[156:])


def pax(key: str, value: bytes) -> bytes:
    notes = record(key, value)
    return header(b"x", "x", len(notes)) + padded(notes) + header(b"f", "0", 4)


@pytest.mark.parametrize(
    "head",
    [
        sparse((b"0", b"-4")),
        sparse((b"-4", b"4")),
        sparse((b"0", b"4"), size=b"-7"),
        sparse((b"0", b"0_4")),
        sparse((b"0", b"4"), size=b"0x7"),
        sparse((b"0", b"\x80" + b"\xff" * 11)),
        pax("size", b"9" * 19),
        pax("size", b"%d" % (1 << 63)),
    ],
)
def test_numbers_that_are_none(tmp_path: Path, head: bytes) -> None:
    """What Python reads as a number is none of Go's, by far; and none is beyond 64 bits."""
    (tmp_path / "blob").write_bytes(head + padded(b"data") + bytes(1024))
    (tmp_path / "dest").mkdir()
    with pytest.raises(Corrupted, match="invalid tar header"):
        apply_layer(str(tmp_path / "blob"), TAR, str(tmp_path / "dest"))


def test_a_plain_sparse_file(tmp_path: Path) -> None:
    head = sparse((b"10", b"4"))
    (tmp_path / "blob").write_bytes(head + padded(b"data") + bytes(1024))
    (tmp_path / "dest").mkdir()
    apply_layer(str(tmp_path / "blob"), TAR, str(tmp_path / "dest"))
    assert (tmp_path / "dest/s").read_bytes() == bytes(8) + b"data" + bytes(500)
