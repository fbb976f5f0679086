"""One walk over a tree, and all packages that it tells of."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator

import msgspec

from croze.errors import ResourceExhausted
from croze.fs.tree.walk import walk_stats
from croze.sbom import alpine, binaries, debian, npm, python, rpm
from croze.sbom.package import Distribution, Package
from croze.sbom.tree import ScannedTree

_RELEASES = ("etc/os-release", "usr/lib/os-release")
_EXECUTABLE = 0o111
MAX_PACKAGES = 100_000
"""Somebody else may have made the tree to fill our memory."""


class Evidence(msgspec.Struct, frozen=True):
    """A file that packages were found by, with its digests."""

    path: str
    sha1: str
    sha256: str


class Inventory(msgspec.Struct, frozen=True):
    """What was found in a tree: the packages, and the files that tell which layer each is from."""

    packages: tuple[Package, ...] = ()
    files: tuple[Evidence, ...] = ()


def scan(root: str) -> Inventory:
    """All packages below `root`, each once, sorted. Raises `ResourceExhausted`. Runs in a worker
    process."""
    tree = ScannedTree(root)
    distribution = read_distribution(tree)
    by_name: dict[tuple[str, str], Package] = {}
    for path, mode in _files(root):
        for package in _packages(tree, path, mode, distribution):
            by_name.setdefault((package.purl, package.evidence or package.source), package)
            if len(by_name) > MAX_PACKAGES:
                raise ResourceExhausted(f"more than {MAX_PACKAGES} packages, the last of {path}")
    packages = sorted(by_name.values(), key=lambda p: (p.kind, p.name, p.version, p.evidence))
    paths = sorted({package.evidence for package in packages if package.evidence})
    files = [evidence for path in paths if (evidence := _digests(tree, path)) is not None]
    return Inventory(tuple(packages), tuple(files))


def _files(root: str) -> Iterator[tuple[str, int]]:
    for path, _, st in walk_stats(root):
        if stat.S_ISREG(st.st_mode):
            yield path, st.st_mode


def _packages(
    tree: ScannedTree, path: str, mode: int, distribution: Distribution
) -> Iterator[Package]:
    if path == debian.STATUS or path.startswith(debian.STATUS_DIR):
        yield from debian.packages(tree, path, distribution)
    elif path in alpine.DATABASES:
        yield from alpine.packages(tree, path, distribution)
    elif path in rpm.DATABASES:
        yield from rpm.packages(tree, path, distribution)
    elif python.is_metadata(path):
        yield from python.packages(tree, path)
    elif npm.is_manifest(path):
        yield from npm.packages(tree, path)
    elif mode & _EXECUTABLE:
        yield from binaries.packages(tree, path)


def read_distribution(tree: ScannedTree) -> Distribution:
    """The tree's distribution, by its os-release(5); an empty one if it has none."""
    for path in _RELEASES:
        fields = {}
        for line in tree.text(path).splitlines():
            key, _, value = line.partition("=")
            fields[key.strip()] = value.strip().strip("\"'")
        if fields.get("ID"):
            return Distribution(fields["ID"], fields.get("VERSION_ID", ""))
    return Distribution()


def _digests(tree: ScannedTree, path: str) -> Evidence | None:
    fd = tree.open(path)
    if fd is None:
        return None
    sums = hashlib.sha1(usedforsecurity=False), hashlib.sha256()
    with os.fdopen(fd, "rb") as file:
        while piece := file.read(1 << 20):
            for each in sums:
                each.update(piece)
    return Evidence(path, *(each.hexdigest() for each in sums))
