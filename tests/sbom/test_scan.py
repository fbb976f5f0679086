"""What is found in a tree, and the document made of it."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from croze.errors import ResourceExhausted
from croze.sbom.scan import scan
from croze.sbom.spdx import document
from tests.sbom.trees import elf, go_info, make_tree

PURLS = {
    "pkg:deb/fedora/libc6@2.36-9%2Bdeb12u10?arch=amd64&distro=fedora-40": (
        "var/lib/dpkg/info/libc6:amd64.list"
    ),
    "pkg:deb/fedora/base-files@12?distro=fedora-40": "var/lib/dpkg/status.d/base",
    "pkg:apk/fedora/musl@1.2.5-r0?arch=x86_64&distro=fedora-40": "lib/ld-musl.so",
    "pkg:rpm/fedora/bash@5.2-1.fc40?arch=x86_64&distro=fedora-40&epoch=2": "usr/bin/bash",
    "pkg:pypi/two-words@1.0": "usr/lib/python3/site-packages/Two_Words-1.0.dist-info/METADATA",
    "pkg:pypi/old@0.1": "usr/lib/python3/site-packages/old.egg-info",
    "pkg:npm/%40scope/lib@3.0.0": "app/node_modules/@scope/lib/package.json",
    "pkg:golang/stdlib@1.26.0": "usr/bin/go",
    "pkg:golang/example.com/cmd": "usr/bin/go",
    "pkg:golang/example.com/replacement@v1.2.0": "usr/bin/go",
    "pkg:golang/golang.org/x/sys@v0.30.0": "usr/bin/go",
    "pkg:cargo/serde@1.0.0": "usr/bin/rust",
}


def test_every_kind(tmp_path: Path) -> None:
    make_tree(tmp_path)
    found = scan(str(tmp_path))
    assert {each.purl: each.evidence for each in found.packages} == PURLS
    assert [each.path for each in found.files] == sorted(set(PURLS.values()))


def test_an_empty_tree(tmp_path: Path) -> None:
    assert scan(str(tmp_path)).packages == ()


def test_links_and_pipes_lead_nowhere(tmp_path: Path) -> None:
    outside, root = tmp_path / "outside", tmp_path / "root"
    make_tree(outside)
    for name in ("var/lib/dpkg", "lib/apk/db", "etc"):
        (root / name).mkdir(parents=True)
    (root / "var/lib/dpkg/status").symlink_to(outside / "var/lib/dpkg/status")
    (root / "usr").symlink_to(outside / "usr")
    os.mkfifo(root / "lib/apk/db/installed")
    (root / "etc/os-release").symlink_to("/proc/self/environ")
    assert scan(str(root)).packages == ()


def test_the_document_is_valid_spdx(tmp_path: Path) -> None:
    make_tree(tmp_path / "root")
    made = document("sbom", scan(str(tmp_path / "root")), datetime(2024, 1, 1, tzinfo=UTC))
    again = document("sbom", scan(str(tmp_path / "root")), datetime(2024, 1, 1, tzinfo=UTC))
    assert made == again
    assert validated(made, tmp_path) == ""
    empty = document("sbom", scan(str(tmp_path / "none")), datetime(2024, 1, 1, tzinfo=UTC))
    assert validated(empty, tmp_path) == ""
    wrong = made.replace(b'"SPDXRef-DocumentRoot"', b'"SPDXRef-?"', 1)
    assert "invalid" in validated(wrong, tmp_path)
    decoded = json.loads(made)
    assert len(decoded["packages"]) == len(PURLS) + 1


def validated(data: bytes, folder: Path) -> str:
    """What spdx-tools says against a document."""
    path = folder / "document.spdx.json"
    path.write_bytes(data)
    tool = [sys.executable, "-m", "spdx_tools.spdx.clitools.pyspdxtools", "-i", str(path)]
    done = subprocess.run(tool, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def test_what_a_database_makes_up_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "var/lib/rpm/rpmdb.sqlite"
    path.parent.mkdir(parents=True)
    with closing(sqlite3.connect(path)) as database:
        database.execute(
            "CREATE VIEW Packages AS WITH RECURSIVE n(blob) AS "
            "(SELECT 1 UNION ALL SELECT blob + 1 FROM n) SELECT blob FROM n"
        )
        database.commit()
    assert scan(str(tmp_path)).packages == ()


def test_names_of_any_bytes(tmp_path: Path) -> None:
    program = os.path.join(os.fsencode(tmp_path), b"root", b"p\xff")
    os.makedirs(os.path.dirname(program))
    Path(os.fsdecode(program)).write_bytes(elf({".go.buildinfo": go_info()}))
    os.chmod(program, 0o755)
    manifest = tmp_path / "root/node_modules/a/package.json"
    manifest.parent.mkdir(parents=True)
    manifest.write_text('{"name": "\\ud800", "version": "1"}')
    made = document("sbom", scan(str(tmp_path / "root")), datetime(2024, 1, 1, tzinfo=UTC))
    assert b"./p\xef\xbf\xbd" in made
    assert validated(made, tmp_path) == ""


def test_packages_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("croze.sbom.scan.MAX_PACKAGES", 3)
    make_tree(tmp_path)
    with pytest.raises(ResourceExhausted, match="more than 3 packages, the last of "):
        scan(str(tmp_path))
