"""Trees with packages of every kind."""

from __future__ import annotations

import json
import sqlite3
import struct
import zlib
from contextlib import closing
from pathlib import Path

OS_RELEASE = 'ID=fedora\nVERSION_ID="40"\n'
STATUS = """Package: libc6
Status: install ok installed
Maintainer: GNU Libc Maintainers <debian-glibc@lists.debian.org>
Architecture: amd64
Version: 2.36-9+deb12u10
Description: GNU C Library
 Package: not-a-field

Package: gone
Status: deinstall ok config-files
Version: 1
"""
APK = """C:Q1abc=
P:musl
V:1.2.5-r0
A:x86_64
L:MIT
m:Somebody <a@example.com>
F:lib
R:missing
R:ld-musl.so
"""


def elf(sections: dict[str, bytes], *, wide: bool = True, little: bool = True) -> bytes:
    """A file of nothing but sections."""
    order = "<" if little else ">"
    names = b"\0" + b"".join(name.encode() + b"\0" for name in (*sections, ".shstrtab"))
    header_size = 64 if wide else 52
    row = struct.Struct(f"{order}II4QIIQQ" if wide else f"{order}10I")
    at, body, rows = header_size, b"", [row.pack(*[0] * 10)]
    for name, data in {**sections, ".shstrtab": names}.items():
        where = names.index(b"\0" + name.encode() + b"\0") + 1
        rows.append(row.pack(where, 1, 0, 0, at + len(body), len(data), 0, 0, 1, 0))
        body += data
    ident = b"\x7fELF" + bytes([2 if wide else 1, 1 if little else 2, 1]) + bytes(9)
    table, count = at + len(body), len(rows)
    word = "Q" if wide else "I"
    header = struct.pack(
        f"{order}HHI3{word}I6H",
        *(2, 62, 1, 0, 0, table, 0, header_size, 0, 0, row.size, count, count - 1),
    )
    return ident + header + body + b"".join(rows)


def _counted(text: bytes) -> bytes:
    length, size = b"", len(text)
    while size >= 0x80:
        length += bytes([size & 0x7F | 0x80])
        size >>= 7
    return length + bytes([size]) + text


def go_info() -> bytes:
    lines = [
        "path\texample.com/cmd",
        "mod\texample.com/cmd\t(devel)\t",
        "dep\texample.com/replaced\tv1.0.0",
        "=>\texample.com/replacement\tv1.2.0\th1:x=",
        "dep\tgolang.org/x/sys\tv0.30.0\th1:y=",
        "build\t-compiler=gc",
    ]
    text = bytes(16) + "\n".join(lines).encode() + bytes(16)
    return b"\xff Go buildinf:\x08\x02" + bytes(16) + _counted(b"go1.26.0") + _counted(text)


def rust_info() -> bytes:
    packages = [
        {"name": "serde", "version": "1.0.0", "source": "crates.io"},
        {"name": "cc", "version": "1.1.0", "source": "crates.io", "kind": "build"},
    ]
    return zlib.compress(json.dumps({"packages": packages}).encode())


def rpm_header(tags: dict[int, tuple[int, int, bytes]]) -> bytes:
    """`tags`: kind, count and bytes."""
    index, store = b"", b""
    for tag, (kind, count, data) in tags.items():
        store += bytes(-len(store) % 4) if kind == 4 else b""
        index += struct.pack(">4I", tag, kind, len(store), count)
        store += data
    return struct.pack(">2I", len(tags), len(store)) + index + store


def rpm_database(path: Path) -> None:
    bash = {
        1000: (6, 1, b"bash\0"),
        1001: (6, 1, b"5.2\0"),
        1002: (6, 1, b"1.fc40\0"),
        1003: (4, 1, struct.pack(">I", 2)),
        1014: (6, 1, b"GPL-3.0-or-later\0"),
        1022: (6, 1, b"x86_64\0"),
        1116: (4, 2, struct.pack(">2I", 0, 0)),
        1117: (8, 2, b"missing\0bash\0"),
        1118: (8, 1, b"/usr/bin/\0"),
    }
    key = {1000: (6, 1, b"gpg-pubkey\0"), 1001: (6, 1, b"1\0")}
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE Packages (hnum INTEGER PRIMARY KEY, blob BLOB NOT NULL)")
        rows = [(rpm_header(bash),), (rpm_header(key),), (b"broken",)]
        database.executemany("INSERT INTO Packages (blob) VALUES (?)", rows)
        database.commit()


def make_tree(root: Path) -> None:
    """One package of each kind, or a few, with what is none beside them."""
    site = "usr/lib/python3/site-packages"
    files = {
        "etc/os-release": OS_RELEASE,
        "var/lib/dpkg/status": STATUS,
        "var/lib/dpkg/info/libc6:amd64.list": "/lib\n",
        "var/lib/dpkg/status.d/base": "Package: base-files\nVersion: 12\n",
        "lib/apk/db/installed": APK,
        "lib/ld-musl.so": "",
        "usr/bin/bash": "",
        f"{site}/Two_Words-1.0.dist-info/METADATA": "Name: Two_Words\nVersion: 1.0\n\nName: no\n",
        f"{site}/old.egg-info": "Name: old\nVersion: 0.1\n",
        "app/node_modules/@scope/lib/package.json": '{"name": "@scope/lib", "version": "3.0.0"}',
        "app/node_modules/@scope/lib/test/package.json": '{"name": "x", "version": "1"}',
        "app/package.json": '{"name": "app", "version": "1"}',
        "app/node_modules/bad/package.json": "[" * 100_000,
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    rpm_database(root / "var/lib/rpm/rpmdb.sqlite")
    programs = {
        "go": elf({".text": b"x", ".go.buildinfo": go_info()}),
        "rust": elf({".dep-v0": rust_info()}, wide=False, little=False),
        "broken": elf({".go.buildinfo": b"\xff Go buildinf:"})[:70],
        "bomb": elf({".dep-v0": zlib.compress(bytes(64 << 20))}),
    }
    for name, data in programs.items():
        (root / "usr/bin" / name).write_bytes(data)
        (root / "usr/bin" / name).chmod(0o755)
