"""npm's installed packages (docs.npmjs.com, package.json)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from croze.sbom.found import Package, purl
from croze.sbom.tree import Tree

_MANIFEST = re.compile(r"(?:.*/)?node_modules/(?:@[^/]+/)?[^/@]+/package\.json\Z")


def is_manifest(path: str) -> bool:
    """Of an installed package, not of a directory within one."""
    return _MANIFEST.match(path) is not None


def packages(tree: Tree, path: str) -> Iterator[Package]:
    try:
        manifest = json.loads(tree.read(path, 4 << 20))
    except (ValueError, RecursionError):
        return
    if not isinstance(manifest, dict):
        return
    name, version, license = (manifest.get(key) for key in ("name", "version", "license"))
    if isinstance(name, str) and isinstance(version, str) and name and version:
        scope, _, last = name.rpartition("/")
        yield Package(
            kind="npm",
            name=name,
            version=version,
            purl=purl("npm", scope, last, version),
            source=path,
            evidence=path,
            license=license if isinstance(license, str) else "",
        )
