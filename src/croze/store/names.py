"""What names of images have meant in registries, which count how often they give out manifests:
where one is still here they are asked whether it is the same, also by the next daemon.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from croze.errors import InvalidRequest
from croze.image.reference import Reference, parse
from croze.store.blobs import DiskBlobStore
from croze.store.db import Database

MOST: Final = 10_000
"""The names that are kept: of more, those go that were noted first."""


class ResolvedNames:
    """The digest that each name stood for the last time."""

    def __init__(self, db: Database, blobs: DiskBlobStore) -> None:
        self._db = db
        self._blobs = blobs
        self._digests: dict[str, str] = {}
        self._seen: dict[tuple[str, str], None] = {}
        """What repositories have been asked for, of each no more than `MOST`: names move on."""
        for name, digest in db.read("SELECT name, digest FROM resolved"):
            with suppress(InvalidRequest):  # a name of a version that took others
                self._remember(parse(str(name)), str(digest))

    def latest(self, ref: Reference) -> str:
        """The digest that the reference named the last time; empty if its blob is not here."""
        digest = self._digests.get(str(ref), "")
        return digest if self._blobs.has(digest) else ""

    def has(self, ref: Reference) -> bool:
        """Whether the reference's digest came from its repository, and is here."""
        return (ref.name, ref.digest) in self._seen and self._blobs.has(ref.digest)

    def note(self, ref: Reference, digest: str) -> None:
        """Remember what the reference names now. Raises `ResourceExhausted` on a full disk."""
        name = str(ref)
        if self._digests.get(name) == digest:
            return
        with self._db.transaction():
            while len(self._digests) >= MOST:
                oldest = next(iter(self._digests))
                self._db.write("DELETE FROM resolved WHERE name = ?", oldest)
                del self._digests[oldest]
            self._db.write("INSERT OR REPLACE INTO resolved VALUES (?, ?)", name, digest)
        self._remember(ref, digest)

    def _remember(self, ref: Reference, digest: str) -> None:
        self._digests[str(ref)] = digest
        self._seen.pop((ref.name, digest), None)
        while len(self._seen) >= MOST:
            del self._seen[next(iter(self._seen))]
        self._seen[ref.name, digest] = None
