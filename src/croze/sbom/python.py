"""Python's installed distributions (PyPA "Core metadata", "Recording installed projects")."""

from __future__ import annotations

import re
from collections.abc import Iterator

from croze.sbom.package import Package, purl
from croze.sbom.tree import ScannedTree, paragraphs


def is_metadata(path: str) -> bool:
    return path.endswith((".dist-info/METADATA", ".egg-info/PKG-INFO", ".egg-info"))


def packages(tree: ScannedTree, path: str) -> Iterator[Package]:
    fields = next(paragraphs(tree.text(path)), {})
    name, version = fields.get("Name", ""), fields.get("Version", "")
    if name and version:
        yield Package(
            kind="pypi",
            name=name,
            version=version,
            purl=purl("pypi", "", re.sub(r"[-_.]+", "-", name).lower(), version),
            source=path,
            evidence=path,
            license=fields.get("License-Expression", ""),
        )
