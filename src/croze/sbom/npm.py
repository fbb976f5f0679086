"""npm's installed packages (docs.npmjs.com, package.json)."""

from __future__ import annotations

import json
from collections.abc import Iterator

from croze.gotypes.strings import shown
from croze.sbom.package import Package, purl
from croze.sbom.tree import ScannedTree


def is_manifest(path: str) -> bool:
    """Whether a `package.json` is that of an installed package, not of a directory within one."""
    if not path.endswith("/package.json"):
        return False
    *_, above, scope, _, _ = ("", "", *path.split("/"))
    return scope == "node_modules" or (above == "node_modules" and scope.startswith("@"))


def packages(tree: ScannedTree, path: str) -> Iterator[Package]:
    try:
        manifest = json.loads(tree.read(path, 4 << 20))
    except (ValueError, RecursionError):
        return
    if not isinstance(manifest, dict):
        return
    name, version, license = (_text(manifest.get(key)) for key in ("name", "version", "license"))
    if name and version:
        scope, _, last = name.rpartition("/")
        yield Package(
            kind="npm",
            name=name,
            version=version,
            purl=purl("npm", scope, last, version),
            source=path,
            evidence=path,
            license=license,
        )


def _text(value: object) -> str:
    return shown(value) if isinstance(value, str) else ""
