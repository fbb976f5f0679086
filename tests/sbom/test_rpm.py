"""rpm's databases as others have written them: rpm's own ndb code, and Berkeley DB's `db_load`.

All three have the headers of the same two packages, made by `rpmbuild`: one that fits into a page
and one that takes many. Beside them are pairs that are no headers, and ndb's has a freed slot.
"""

from __future__ import annotations

import lzma
import os
import random
import re
import struct
from pathlib import Path

import pytest

from croze.sbom.package import Package
from croze.sbom.rpm import parse_header
from croze.sbom.scan import scan

DATA = Path(__file__).parent / "data"
KINDS = {
    "ndb": "usr/lib/sysimage/rpm/Packages.db",
    "berkeley-little": "var/lib/rpm/Packages",
    "berkeley-big": "var/lib/rpm/Packages",
}
"""Fixtures, and where rpm has them. The one in big-endian order has pages of 512 bytes."""
PURLS = [
    "pkg:rpm/suse/bash@5.2-1.fc40?arch=noarch&distro=suse-15&epoch=2",
    "pkg:rpm/suse/coreutils@9.4-1.fc40?arch=noarch&distro=suse-15",
]


def database(kind: str) -> bytes:
    return lzma.decompress((DATA / f"{kind}.xz").read_bytes())


def scanned(root: Path, kind: str, data: bytes) -> tuple[Package, ...]:
    files = {KINDS[kind]: data, "etc/os-release": b"ID=suse\nVERSION_ID=15\n", "usr/bin/bash": b""}
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return scan(str(root)).packages


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_of_database(kind: str, tmp_path: Path) -> None:
    packages = scanned(tmp_path, kind, database(kind))
    assert sorted({package.purl for package in packages}) == PURLS
    bash = packages[0]
    assert (bash.license, bash.supplier) == ("GPL-3.0-or-later", "Somebody")
    assert (bash.evidence, bash.source) == ("usr/bin/bash", KINDS[kind])


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_what_is_damaged_is_read_or_passed_over(kind: str, tmp_path: Path) -> None:
    """What can't be read tells of nothing, the same each time, and nobody waits for it."""
    good, chance = database(kind), random.Random(7)
    for size in (0, 10, 31, 71):
        assert scanned(tmp_path, kind, good[:size]) == ()
    for size in (4000, len(good) - 1):
        assert scanned(tmp_path, kind, good[:size]) == scanned(tmp_path, kind, good[:size])
    for _ in range(int(os.environ.get("CROZE_FUZZ", "1")) * 60):
        bad = bytearray(good)
        for _ in range(chance.choice((1, 5, 200))):
            bad[chance.randrange(chance.choice((96, 600, len(bad))))] = chance.randrange(256)
        assert scanned(tmp_path, kind, bytes(bad)) == scanned(tmp_path, kind, bytes(bad))


def _number(value: int) -> bytes:
    return re.escape(value.to_bytes(4, "little"))


def test_a_value_that_follows_itself_ends(tmp_path: Path) -> None:
    """An overflow page whose next one is itself, and a length of all there can be."""
    good = bytearray(database("berkeley-little"))
    pages = [n for n in range(len(good) // 4096) if good[n * 4096 + 25] == 7]
    for number in pages:
        good[number * 4096 + 16 : number * 4096 + 20] = number.to_bytes(4, "little")
    items = re.finditer(b"\x03...(" + b"|".join(map(_number, pages)) + b")", good, re.DOTALL)
    for item in list(items):
        good[item.end() : item.end() + 4] = b"\xff\xff\xff\xff"
    assert "bash" not in {p.name for p in scanned(tmp_path, "berkeley-little", bytes(good))}


def test_slots_that_share_their_blob_are_counted(tmp_path: Path) -> None:
    good = bytearray(database("ndb"))
    slot = next(good[n : n + 16] for n in range(32, 96, 16) if good[n + 12 : n + 16] != bytes(4))
    good[32:4096] = slot * ((4096 - 32) // 16)
    assert len(scanned(tmp_path, "ndb", bytes(good))) <= 1


def test_entries_that_share_their_bytes_are_not_as_many_copies() -> None:
    """Of each kind, under many tags and under one: every copy would be the whole store."""
    store = b"x" * 100_000
    entries = [(tag, kind, 0, 1 << 16) for tag in range(900, 9000) for kind in (6, 8)]
    packed = b"".join(struct.pack(">4I", *entry) for entry in entries + [(1014, 6, 0, 1)] * 30_000)
    header = parse_header(struct.pack(">2I", len(packed) // 16, len(store)) + packed + store)
    assert len(header) <= 10
    assert header[1014] == "x" * 100_000
