"""Attestations as files beside a result's own."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence

from croze.aio.threads import in_thread
from croze.errors import InvalidRequest
from croze.export.attestations import statement
from croze.export.contract import Attestation, NamedSubject
from croze.export.trees import StaticFile
from croze.fs.paths import NO_NAMES
from croze.fs.tree.walk import walk
from croze.gotypes.quote import quote
from croze.image.purl import digest_set
from croze.workers.pool import Pool

_DEFAULT_NAMES = {
    "https://slsa.dev/provenance/v1": "provenance.json",
    "https://slsa.dev/provenance/v0.2": "provenance.json",
    "https://spdx.dev/Document": "sbom.spdx.json",
}


async def attestation_files(
    attestations: Sequence[Attestation],
    root: str,
    *,
    prefix: str,
    platform: str,
    sessions: Sequence[str],
    pool: Pool,
) -> tuple[StaticFile, ...]:
    """A file for each attestation, about every file below `root`. `platform` goes before the
    extension. Raises `InvalidRequest` when two would have one name, or one has none that a file can
    have: frontends choose them."""
    if not attestations:
        return ()
    subjects = await in_thread(_subjects, root)
    files: dict[str, StaticFile] = {}
    for each in attestations:
        base = os.path.basename(each.path) or _DEFAULT_NAMES.get(
            each.predicate_type, "attestation.json"
        )
        name = _with_platform(prefix + base, platform)
        if name in NO_NAMES or "\0" in name:
            raise InvalidRequest(f"invalid attestation path name {quote(name)}")
        if name in files:
            raise InvalidRequest(f"duplicate attestation path name {name}")
        files[name] = StaticFile(name, await statement(each, subjects, sessions, pool, indent=True))
    return tuple(files.values())


def _with_platform(name: str, platform: str) -> str:
    if not platform:
        return name
    stem, extension = os.path.splitext(name)
    return f"{stem}.{platform}{extension}"


def _subjects(root: str) -> list[NamedSubject]:
    subjects = []
    for entry in walk(root):
        if entry.is_file:
            with open(f"{root}/{entry.path}", "rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            subjects.append(NamedSubject(entry.path, digest_set(f"sha256:{digest}")))
    return subjects
