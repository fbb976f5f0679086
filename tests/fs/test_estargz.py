"""eStargz: what is in the table of contents, where its offsets lead, and what comes back."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import re
import tarfile
import threading
import zlib
from pathlib import Path
from typing import Any

import pytest

from croze.errors import Corrupted, Unsupported
from croze.fs.tar.compress import BlobSums
from croze.fs.tar.estargz import SIZE_ANNOTATION, TOC_ANNOTATION, footer, is_estargz, open_layer
from croze.fs.tar.estargz_write import layer_writer

TOC = Path(__file__).with_name("estargz_toc.json")
"""Of `sample`, by the library that BuildKit uses. Every offset is 1, as they depend on deflate."""
BIG = (8 << 20) + 5
MORE = bytes(4 << 20)
"""What is still to come when an error is found."""


def tar_of(*members: tuple[str, bytes, dict[str, Any]], form: int = tarfile.PAX_FORMAT) -> bytes:
    """Members by name, content and attributes."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for name, data, values in members:
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), 0o644
            for key, value in values.items():
                setattr(info, key, value)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def sample() -> bytes:
    """One of each kind."""
    root = {"uname": "root", "gname": "root"}
    app = {"uid": 1000, "gid": 2000, "uname": "app", "gname": "app"}
    xattrs = {"SCHILY.xattr.user.z": "1", "SCHILY.xattr.security.capability": "\x01\0"}
    return tar_of(
        ("dir", b"", {"type": tarfile.DIRTYPE, "mode": 0o1755, **root}),
        ("dir/empty", b"", {"uname": "root", "gname": "wheel"}),
        ("dir/a<b>&\u00fc\u2028", b"text", {**app, "mtime": 1700000000.7}),
        ("dir/mode", b"x", {"mode": 0o104755, "mtime": 0.5}),
        ("dir/big", bytes(BIG), {"uid": 3000000, "uname": "root"}),
        ("dir/exact", bytes(4 << 20), {"mtime": -100}),
        ("n" * 120, b"long", {}),
        ("link", b"", {"type": tarfile.SYMTYPE, "linkname": "dir/big"}),
        ("hard", b"", {"type": tarfile.LNKTYPE, "linkname": "dir/empty"}),
        ("fifo", b"", {"type": tarfile.FIFOTYPE}),
        ("char", b"", {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 3}),
        ("block", b"", {"type": tarfile.BLKTYPE, "devmajor": 7, "devminor": 300}),
        ("caps", b"c", {"pax_headers": xattrs}),
        (".wh.gone", b"", {}),
    )


def write(data: bytes, target: Path, level: int | None = None) -> BlobSums:
    fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        with layer_writer(fd, "estargz", level) as writer:
            for start in range(0, len(data), 100_000):
                writer.write(data[start : start + 100_000])
            return writer.finish()
    finally:
        os.close(fd)


def payload(path: Path) -> bytes:
    out = b""
    with path.open("rb") as file:
        reader = open_layer(file)
        while piece := reader.read(1 << 20):
            out += piece
    return out


def toc_of(blob: bytes) -> bytes:
    start = int(blob[-51:][16:32], 16)
    assert blob[-51:] == footer(start)
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(blob[start:-51]))) as archive:
        (member,) = archive.getmembers()
        assert member.name == "stargz.index.json"
        content = archive.extractfile(member)
        assert content is not None
        return content.read()


@pytest.mark.parametrize("level", [None, 9])
def test_the_table_is_the_one_that_buildkit_writes(tmp_path: Path, level: int | None) -> None:
    data, path = sample(), tmp_path / "blob"
    sums = write(data, path, level)
    blob = path.read_bytes()
    toc = toc_of(blob)
    assert re.sub(rb'"offset": \d+', b'"offset": 1', toc) == TOC.read_bytes()
    whole = gzip.decompress(blob)
    assert whole.startswith(data)
    assert sums == (
        "sha256:" + hashlib.sha256(blob).hexdigest(),
        "sha256:" + hashlib.sha256(whole).hexdigest(),
        len(blob),
        {
            TOC_ANNOTATION: "sha256:" + hashlib.sha256(toc).hexdigest(),
            SIZE_ANNOTATION: str(len(whole)),
        },
    )
    assert is_estargz(str(path))
    assert payload(path) == data


def test_every_piece_can_be_read_by_itself(tmp_path: Path) -> None:
    write(sample(), tmp_path / "blob")
    blob = (tmp_path / "blob").read_bytes()
    sizes: dict[str, int] = {}
    pieces = 0
    for entry in json.loads(toc_of(blob))["entries"]:
        size = sizes.setdefault(entry["name"], entry.get("size", 0))
        if "chunkDigest" not in entry:
            continue
        piece = entry.get("chunkSize") or size - entry.get("chunkOffset", 0)
        content = zlib.decompressobj(31).decompress(blob[entry["offset"] :], piece)
        assert entry["chunkDigest"] == "sha256:" + hashlib.sha256(content).hexdigest()
        pieces += 1
    assert pieces == 8


def test_an_empty_tar(tmp_path: Path) -> None:
    write(bytes(1024), tmp_path / "blob")
    assert toc_of((tmp_path / "blob").read_bytes()) == b'{\n\t"version": 1,\n\t"entries": null\n}'
    assert payload(tmp_path / "blob") == bytes(1024)


@pytest.mark.parametrize(
    ("data", "error", "text"),
    [
        (
            tar_of(("./stargz.index.json", b"{}", {})) + MORE,
            Unsupported,
            "existing TOC JSON is not",
        ),
        (tar_of(("x", b"", {"type": b"z"})) + MORE, Unsupported, "unsupported input tar entry 'z'"),
        (b"no tar at all" * 100, Corrupted, "invalid tar header"),
        (sample()[:5000], Corrupted, "unexpected EOF"),
    ],
)
def test_what_has_no_table(data: bytes, error: type[Exception], text: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=text):
        write(data, tmp_path / "blob")


def test_leaving_early_ends_the_thread(tmp_path: Path) -> None:
    fd = os.open(tmp_path / "blob", os.O_WRONLY | os.O_CREAT)
    with layer_writer(fd, "estargz") as writer:
        writer.write(sample())
    os.close(fd)
    assert "croze-estargz" not in {thread.name for thread in threading.enumerate()}


def test_what_only_looks_like_it_is_gzip(tmp_path: Path) -> None:
    """A footer that leads nowhere, or to something else, hides nothing of a layer."""
    data = tar_of(("a", b"1", {}))
    member, path = gzip.compress(data), tmp_path / "blob"
    nested = gzip.compress(tar_of(("stargz.index.json", b"{}", {}), ("b", b"2", {})))
    for blob in (
        member + footer(0),
        member + footer(len(member)),
        member + footer(1 << 60),
        member + b"no gzip here" + footer(len(member)),
        member + nested + footer(len(member)),
        footer(0),
        b"",
    ):
        path.write_bytes(blob)
        assert not is_estargz(str(path))
    path.write_bytes(member + footer(0))
    assert payload(path) == data
