"""Layers and archives from strangers: whatever they say, nothing outside is touched."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import hashlib
import io
import lzma
import os
import re
import stat
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
import zstandard

from croze.errors import Corrupted, CrozeError
from croze.fs.owner import NumericOwner
from croze.fs.remove import remove_tree
from croze.fs.tar.apply import apply_layer
from croze.fs.tar.archive import unpack
from croze.fs.tar.write import write_layer
from tests.fs import trees

Item = tuple[str, dict[str, Any]] | tuple[str, dict[str, Any], bytes]


def archive(*items: Item, format: int = tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format) as tar:
        for name, fields, *content in items:
            info = tarfile.TarInfo(name)
            info.uid, info.gid = os.geteuid(), os.getegid()
            for key, value in fields.items():
                setattr(info, key, value)
            data = content[0] if content else b""
            if content:
                info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def link(target: str) -> dict[str, Any]:
    return {"type": tarfile.SYMTYPE, "linkname": target}


def hardlink(target: str) -> dict[str, Any]:
    return {"type": tarfile.LNKTYPE, "linkname": target}


DIR = {"type": tarfile.DIRTYPE, "mode": 0o755}


class Target:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.dest = trees.make(root / "dest", {})
        self.outside = trees.make(root / "outside", {"secret": "safe", "sub/x": "safe"})

    def apply(self, data: bytes, **options: Any) -> trees.Tree:
        blob = self.root / "blob"
        blob.write_bytes(data)
        apply_layer(str(blob), "application/vnd.oci.image.layer.v1.tar", str(self.dest), **options)
        return trees.read(self.dest)

    def untouched(self) -> bool:
        return trees.read(self.outside) == {"secret": "safe", "sub": None, "sub/x": "safe"}


@pytest.fixture
def target(tmp_path: Path) -> Target:
    return Target(tmp_path)


def test_dots_and_absolute_names_stay_inside(target: Target) -> None:
    data = archive(
        ("../../outside/secret", {}, b"evil"),
        ("/outside/abs", {}, b"evil"),
        ("a/../../../b", {}, b"c"),
        ("./", DIR),
    )
    assert target.apply(data) == {
        "outside": None,
        "outside/secret": "evil",
        "outside/abs": "evil",
        "b": "c",
    }
    assert target.untouched()


@pytest.mark.parametrize("up", ["../outside", "../../../../..{outside}", "{outside}"])
def test_links_in_parents_lead_nowhere_else(target: Target, up: str) -> None:
    up = up.format(outside=target.outside)
    data = archive(
        ("l", link(up)),
        ("l/secret", {}, b"evil"),
        ("l/sub", DIR | {"mode": 0o700, "mtime": 5}),
        ("l/.wh.sub", {}),
        ("l/.wh..wh..opq", {}),
        ("h", hardlink("l/../../outside/secret")),
    )
    with contextlib.suppress(CrozeError):
        target.apply(data)
    assert target.untouched()
    assert (target.outside / "sub").stat().st_mtime_ns != 5 * 10**9


def test_last_components_are_not_followed(target: Target) -> None:
    data = archive(
        ("f", link(str(target.outside / "secret"))),
        ("f", {}, b"replaced"),
        ("d", link(str(target.outside))),
        ("d", DIR | {"mode": 0o711}),
        ("d/secret", {}, b"inner"),
    )
    assert target.apply(data) == {"f": "replaced", "d": None, "d/secret": "inner"}
    assert target.untouched()


def test_a_directory_swapped_for_a_link_is_seen(target: Target) -> None:
    """Cached parents and late directory times must not be used through the new link."""
    data = archive(
        ("a", DIR),
        ("a/sub", DIR | {"mtime": 7}),
        ("a/sub/x", {}, b"1"),
        ("a", link(str(target.outside))),
        ("a/sub/x", {}, b"evil"),
    )
    target.apply(data)
    assert target.untouched()
    assert (target.outside / "sub").stat().st_mtime_ns != 7 * 10**9
    assert Path(f"{target.dest}{target.outside}/sub/x").read_text() == "evil"


def test_hard_links_stay_inside(target: Target) -> None:
    data = archive(("h", hardlink(f"../../..{target.outside}/secret")))
    with pytest.raises(CrozeError, match="no such file"):
        target.apply(data)
    data = archive(("x", {}, b"1"), ("h", hardlink("/x")), ("s", link("x")), ("t", hardlink("s")))
    assert target.apply(data) == {"x": "1", "h": "1", "s": ("->", "x"), "t": ("->", "x")}


@pytest.mark.parametrize("name", [".wh.", ".wh..", ".wh...", "d/.wh...", "../.wh..."])
def test_bad_whiteouts_are_refused(target: Target, name: str) -> None:
    trees.make(target.dest, {"d/keep": "1"})
    with pytest.raises(Corrupted, match="invalid whiteout"):
        target.apply(archive((name, {})))
    assert trees.read(target.dest)["d/keep"] == "1"


def test_whiteouts_delete_in_a_plain_tree(target: Target) -> None:
    trees.make(target.dest, {"gone/a": "1", "kept/a": "1", "o/old": "1", "o/deep/x": "1"})
    data = archive(
        (".wh.gone", {}),
        ("o/deep/new", {}, b"2"),
        ("o/.wh..wh..opq", {}),
        ("o/after", {}, b"3"),
        (".wh.missing", {}),
    )
    assert target.apply(data) == {
        "kept": None,
        "kept/a": "1",
        "o": None,
        "o/deep": None,
        "o/deep/new": "2",
        "o/after": "3",
    }


@pytest.mark.root
def test_whiteouts_in_an_overlay_layer(target: Target) -> None:
    data = archive((".wh.gone", {}), ("o", DIR), ("o/.wh..wh..opq", {}), ("o/n", {}, b"1"))
    target.apply(data, overlay=True)
    st = (target.dest / "gone").lstat()
    assert stat.S_ISCHR(st.st_mode)
    assert st.st_rdev == 0
    assert os.getxattr(target.dest / "o", "trusted.overlay.opaque") == b"y"


@pytest.mark.root
def test_overlay_parents_lend_their_attributes(target: Target) -> None:
    lower = trees.make(target.root / "lower", {"p/q/x": "low", "p/q/other": "1"})
    (lower / "p/q").chmod(0o1777)
    os.chown(lower / "p/q", 5, 6)
    os.utime(lower / "p/q", ns=(10**18, 10**18))
    data = archive(("p/q/new", {}, b"1"), ("p/q/h", hardlink("p/q/x")))
    tree = target.apply(data, overlay=True, parents=[str(lower)])
    st = (target.dest / "p/q").stat()
    assert (st.st_uid, st.st_gid, stat.S_IMODE(st.st_mode)) == (5, 6, 0o1777)
    assert tree == {"p": None, "p/q": None, "p/q/new": "1", "p/q/x": "low", "p/q/h": "low"}


@pytest.mark.root
def test_overlay_notes_in_archives_are_dropped(target: Target) -> None:
    headers = {
        "SCHILY.xattr.trusted.overlay.redirect": "/etc",
        "SCHILY.xattr.user.mine": "kept",
    }
    target.apply(archive(("d", DIR | {"pax_headers": headers})), overlay=True)
    assert os.listxattr(target.dest / "d") == ["user.mine"]


def test_duplicates_and_type_changes(target: Target) -> None:
    data = archive(
        ("x", {}, b"1"),
        ("x", {}, b"2"),
        ("y/in", {}, b"1"),
        ("y", {}, b"file"),
        ("z", {}, b"1"),
        ("z", DIR),
        ("z/in", {}, b"2"),
    )
    assert target.apply(data) == {"x": "2", "y": "file", "z": None, "z/in": "2"}


def test_a_slash_makes_a_directory_of_the_oldest_kind_alone(target: Target) -> None:
    items: list[Item] = [
        ("old/", {"type": tarfile.AREGTYPE}),
        ("new/", {"type": tarfile.REGTYPE}, b"x"),
    ]
    data = archive(*items, format=tarfile.USTAR_FORMAT)
    assert target.apply(data) == {"old": None, "new": "x"}


def test_a_file_as_parent_is_an_error(target: Target) -> None:
    with pytest.raises(CrozeError, match="not a directory"):
        target.apply(archive(("x", {}, b"1"), ("x/y", {}, b"2")))


def test_sparse_giants_take_no_space(target: Target) -> None:
    records = {
        "GNU.sparse.major": "0",
        "GNU.sparse.minor": "1",
        "GNU.sparse.name": "big",
        "GNU.sparse.size": str(1 << 40),
        "GNU.sparse.map": f"0,4,{(1 << 40) - 4},4",
    }
    blob = target.root / "blob"
    blob.write_bytes(archive(("x", {"pax_headers": records}, b"headtail")))
    apply_layer(str(blob), "", str(target.dest))
    st = (target.dest / "big").stat()
    assert st.st_size == 1 << 40
    assert st.st_blocks < 100
    with open(target.dest / "big", "rb") as file:
        assert file.read(5) == b"head\0"
        file.seek(-4, os.SEEK_END)
        assert file.read() == b"tail"


def test_gnu_tar_writes_sparse_files_we_read(target: Target) -> None:
    source = target.root / "source"
    source.mkdir()
    with open(source / "s", "wb") as file:
        for i in range(40):
            file.seek(i * 100_000)
            file.write(b"data%d" % i)
        file.truncate(5_000_000)
    for kind in ("gnu", "posix"):
        blob = target.root / f"{kind}.tar"
        tar = ["tar", f"--format={kind}", "-S", "-C", str(source), "-cf", str(blob), "s"]
        subprocess.run(tar, check=True)
        target.apply(blob.read_bytes())
        assert (target.dest / "s").read_bytes() == (source / "s").read_bytes()


LONG = "d" * 90 + "/" + "e" * 150 + "/" + "f" * 200


@pytest.mark.parametrize("format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT])
def test_formats(target: Target, format: int) -> None:
    name = "p" * 120 + "/q" if format == tarfile.USTAR_FORMAT else LONG
    fields = {"mtime": 1_600_000_000, "mode": 0o640}
    tree = target.apply(archive((name, fields, b"x" * 1000), format=format))
    assert tree[name] == "x" * 1000
    st = (target.dest / name).stat()
    assert (st.st_mtime_ns, stat.S_IMODE(st.st_mode)) == (1_600_000_000 * 10**9, 0o640)


def compressions() -> list[Any]:
    return [
        pytest.param(lambda data: data, id="plain"),
        pytest.param(gzip.compress, id="gzip"),
        pytest.param(
            lambda data: gzip.compress(data[:1000]) + gzip.compress(data[1000:]), id="two"
        ),
        pytest.param(zstandard.compress, id="zstd"),
        pytest.param(bz2.compress, id="bzip2"),
        pytest.param(lzma.compress, id="xz"),
    ]


@pytest.mark.parametrize("compress", compressions())
def test_compressed_streams(target: Target, compress: Any) -> None:
    data = archive(("a", {}, os.urandom(300_000)), ("b", {}, b"1"))
    blob = target.root / "blob"
    blob.write_bytes(compress(data))
    diff_id = apply_layer(str(blob), "", str(target.dest))
    assert diff_id == "sha256:" + hashlib.sha256(data).hexdigest()
    assert unpack(str(blob), str(target.dest), "/sub/dir")
    assert (target.dest / "sub/dir/b").read_text() == "1"
    for cut in (3, 20, len(compress(data)) // 2):
        blob.write_bytes(compress(data)[:cut])
        with pytest.raises(Corrupted):
            apply_layer(str(blob), "", str(target.dest))


def test_garbage(target: Target) -> None:
    blob = target.root / "blob"
    for data in (b"not a tar at all" * 100, b"\x1f\x8b\x08garbage", os.urandom(5000)):
        blob.write_bytes(data)
        with pytest.raises(Corrupted):
            apply_layer(str(blob), "", str(target.dest))
        assert not unpack(str(blob), str(target.dest), "/")
    blob.write_bytes(b"")
    assert not unpack(str(blob), str(target.dest), "/")
    assert trees.read(target.dest) == {}


@pytest.mark.root
def test_added_archives_take_the_given_owner(target: Target) -> None:
    blob = target.root / "a.tar"
    up = link(str(target.outside))
    blob.write_bytes(archive(("d", DIR), ("d/.wh.x", {}, b"kept"), ("l", up)))
    assert unpack(str(blob), str(target.dest), "/deep/er/", NumericOwner(7, 8), 10**18)
    assert (target.dest / "deep/er/d/.wh.x").stat().st_uid == 7
    assert (target.dest / "deep/er").stat().st_gid == 8
    assert target.untouched()


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "open /l/in: no such file or directory"),
        (DIR, "mkdir /l/in: no such file or directory"),
        (link("x"), "symlink x /l/in: no such file or directory"),
        (hardlink("f"), "link /f /l/in: no such file or directory"),
        ({"type": tarfile.FIFOTYPE}, "no such file or directory"),
    ],
)
def test_nothing_is_added_below_a_link_that_leads_nowhere(
    target: Target, fields: dict[str, Any], said: str
) -> None:
    """Not even below a link to what is there outside; BuildKit's words."""
    for leads in ("nowhere", str(target.outside), "../outside"):
        blob = target.root / "a.tar"
        blob.write_bytes(archive(("f", {}, b"1"), ("l", link(leads)), ("l/in", fields)))
        with pytest.raises(CrozeError, match=f"^{re.escape(said)}$"):
            unpack(str(blob), str(target.dest), f"/{leads.count('/')}")
        assert target.untouched()


def test_missing_parents_are_as_many_as_a_path_may_have(target: Target) -> None:
    path = "/".join(["d"] * 1200)
    blob = target.root / "a.tar"
    blob.write_bytes(archive((f"{path}/f", {}, b"1")))
    assert unpack(str(blob), str(target.dest), "/")
    assert (target.dest / path / "f").read_bytes() == b"1"
    remove_tree(str(target.dest / "d"))


def test_a_link_that_leads_nowhere_is_no_missing_parent(target: Target) -> None:
    blob = target.root / "a.tar"
    blob.write_bytes(archive(("l", link("nowhere")), ("l/deep/in", {}, b"1")))
    with pytest.raises(CrozeError, match=r"^mkdir /l: file exists$"):
        unpack(str(blob), str(target.dest), "/")


def test_an_added_file_may_take_a_directory_s_place(target: Target) -> None:
    blob = target.root / "a.tar"
    blob.write_bytes(archive(("f", DIR), ("f/x", {}, b"1"), ("f", {}, b"2")))
    assert unpack(str(blob), str(target.dest), "/")
    assert (target.dest / "f").read_bytes() == b"2"


@pytest.mark.parametrize("kind", ["gzip", "estargz", "zstd", "uncompressed"])
@pytest.mark.parametrize("level", [None, 0, 3, 9])
def test_layers_of_all_kinds_come_back(target: Target, kind: str, level: int | None) -> None:
    big = os.urandom(1 << 20) * 3 + b"tail"
    source = trees.make(target.root / "source", {"big": big, "d/small": "1", "l": ("->", "big")})
    out = str(target.root / "out")
    layer = write_layer(out, str(source), compression=kind, level=level)
    again = write_layer(out + "2", str(source), compression=kind, level=level)
    data = Path(out).read_bytes()
    assert layer.size == len(data)
    assert layer.digest == again.digest == "sha256:" + hashlib.sha256(data).hexdigest()
    assert apply_layer(out, "", str(target.dest)) == layer.diff_id
    assert (target.dest / "big").read_bytes() == big
    if kind in ("gzip", "estargz"):
        assert "sha256:" + hashlib.sha256(gzip.decompress(data)).hexdigest() == layer.diff_id
