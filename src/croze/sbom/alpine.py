"""apk's packages (apk's installed database, version 2)."""

from __future__ import annotations

from collections.abc import Iterator

from croze.sbom.package import Distribution, Package, purl
from croze.sbom.tree import FILES_TRIED, ScannedTree

DATABASES = ("lib/apk/db/installed", "usr/lib/apk/db/installed")


def packages(tree: ScannedTree, path: str, distribution: Distribution) -> Iterator[Package]:
    """The packages of a database of apk's."""
    for block in tree.text(path).split("\n\n"):
        fields: dict[str, str] = {}
        folder = evidence = ""
        tries = FILES_TRIED
        for line in block.splitlines():
            key, value = line[:1], line[2:]
            if key == "F":
                folder = value
            elif key == "R" and not evidence and tries:
                tries -= 1
                path_of_file = f"{folder}/{value}".lstrip("/")
                evidence = path_of_file if tree.exists(path_of_file) else ""
            fields.setdefault(key, value)
        if "P" in fields and "V" in fields:
            yield _package(path, fields, evidence, distribution)


def _package(
    path: str, fields: dict[str, str], evidence: str, distribution: Distribution
) -> Package:
    qualifiers = {"arch": fields.get("A", ""), "distro": distribution.named}
    return Package(
        kind="apk",
        name=fields["P"],
        version=fields["V"],
        purl=purl("apk", distribution.id or "alpine", fields["P"], fields["V"], qualifiers),
        source=path,
        evidence=evidence,
        license=fields.get("L", ""),
        supplier=fields.get("m", ""),
    )
