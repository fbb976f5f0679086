"""What programs say they were built of: Go's build info, and cargo-auditable's list for Rust.

Sources: Go `debug/buildinfo`; the cargo-auditable project's "Parsing" document.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator

from croze.gotypes.strings import shown
from croze.sbom import elf
from croze.sbom.package import Package, purl
from croze.sbom.tree import ScannedTree

_GO, _RUST = ".go.buildinfo", ".dep-v0"
_GO_MAGIC = b"\xff Go buildinf:"
_INLINE = 2
_MAX_LIST_BYTES = 8 << 20


def packages(tree: ScannedTree, path: str) -> Iterator[Package]:
    """Modules of a program; none of what says nothing."""
    fd = tree.open(path)
    if fd is None:
        return
    try:
        if os.pread(fd, 4, 0) != b"\x7fELF":
            return
        sections = elf.sections(fd, frozenset({_GO, _RUST}))
    finally:
        os.close(fd)
    yield from _go(path, sections.get(_GO, b""))
    yield from _rust(path, sections.get(_RUST, b""))


def _go(path: str, data: bytes) -> Iterator[Package]:
    """Go 1.18 and later write the text in place."""
    if not data.startswith(_GO_MAGIC) or len(data) < 32 or not data[15] & _INLINE:
        return
    version, rest = _counted(data[32:])
    info, _ = _counted(rest)
    if version.startswith(b"go"):
        yield _go_module(path, "stdlib", version.decode("utf-8", "replace").removeprefix("go"))
    replaced: list[str] = []
    for line in reversed(info[16:-16].decode("utf-8", "replace").splitlines()):
        word, *fields = line.split("\t")
        if word == "=>":
            replaced = fields
        elif word in ("dep", "mod") and len(fields) > 1:
            name, module_version = (replaced if len(replaced) > 1 else fields)[:2]
            replaced = []
            yield _go_module(path, name, module_version)


def _go_module(path: str, name: str, version: str) -> Package:
    namespace, _, last = name.rpartition("/")
    shown_version = "" if version == "(devel)" else version
    return Package(
        "golang", name, shown_version, purl("golang", namespace, last, shown_version), path, path
    )


def _counted(data: bytes) -> tuple[bytes, bytes]:
    """A text after its length in base 128, and the rest."""
    length = shift = 0
    for index, byte in enumerate(data[:10]):
        length |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            start = index + 1
            return data[start : start + length], data[start + length :]
    return b"", b""


def _rust(path: str, data: bytes) -> Iterator[Package]:
    try:
        unpacker = zlib.decompressobj()
        text = unpacker.decompress(data, _MAX_LIST_BYTES)
        listed = json.loads(text).get("packages", []) if data else []
    except (zlib.error, ValueError, AttributeError, RecursionError):
        return
    for each in listed if isinstance(listed, list) else ():
        if isinstance(each, dict) and each.get("kind", "runtime") == "runtime":
            name, version = shown(str(each.get("name", ""))), shown(str(each.get("version", "")))
            if name:
                yield Package("cargo", name, version, purl("cargo", "", name, version), path, path)
