"""dpkg's packages (deb-control(5), dpkg's admin directory; `status.d` of distroless images)."""

from __future__ import annotations

from collections.abc import Iterator

from croze.sbom.package import Distribution, Package, purl
from croze.sbom.tree import ScannedTree, paragraphs

STATUS = "var/lib/dpkg/status"
STATUS_DIR = "var/lib/dpkg/status.d/"
_INFO = "var/lib/dpkg/info"


def packages(tree: ScannedTree, path: str, distribution: Distribution) -> Iterator[Package]:
    """The packages that a status file says are installed."""
    for fields in paragraphs(tree.text(path)):
        status = fields.get("Status", "install ok installed")
        if "Package" in fields and "Version" in fields and status.endswith(" installed"):
            yield _package(tree, path, fields, distribution)


def _package(
    tree: ScannedTree, path: str, fields: dict[str, str], distribution: Distribution
) -> Package:
    name, version = fields["Package"], fields["Version"]
    arch = fields.get("Architecture", "")
    url = purl(
        "deb",
        distribution.id or "debian",
        name,
        version,
        {"arch": arch, "distro": distribution.named},
    )
    return Package(
        kind="deb",
        name=name,
        version=version,
        purl=url,
        source=path,
        evidence=_evidence(tree, path, name, arch),
        supplier=fields.get("Maintainer", ""),
    )


def _evidence(tree: ScannedTree, path: str, name: str, arch: str) -> str:
    """dpkg writes a list of files with each package, in the package's own layer."""
    if path.startswith(STATUS_DIR):
        return path
    for stem in (name, f"{name}:{arch}"):
        listed = f"{_INFO}/{stem}.list"
        if tree.exists(listed):
            return listed
    return ""
