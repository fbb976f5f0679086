"""Names of images in the local store. A name holds every blob its manifest or index names."""

from __future__ import annotations

import builtins
import time
from collections.abc import Mapping, Sequence, Set

import msgspec

from croze.errors import InvalidRequest, NotFound
from croze.gotypes import gojson
from croze.image import reference
from croze.image.descriptor import Descriptor
from croze.store.blobs import DiskBlobStore
from croze.store.db import Database
from croze.store.image_contract import ImageRecord, OnName
from croze.store.records import utc

IN_TOTO = "application/vnd.in-toto+json"


class _Row(msgspec.Struct, omit_defaults=True):
    target: Descriptor
    updated_ns: int
    labels: dict[str, str] = {}


class _Links(msgspec.Struct):
    """The parts of any manifest or index that name other blobs. Go writes null for none."""

    manifests: list[Descriptor] | None = None
    layers: list[Descriptor] | None = None
    config: Descriptor | None = None


class DiskImageStore:
    """See `ImageStore`."""

    def __init__(self, db: Database, blobs: DiskBlobStore) -> None:
        self._db = db
        self._blobs = blobs
        self._rows: dict[str, _Row] = {}
        self._watching: builtins.list[OnName] = []
        for name, data in db.read("SELECT name, data FROM images ORDER BY name"):
            assert isinstance(data, bytes)
            self._rows[str(name)] = msgspec.msgpack.decode(data, type=_Row)

    def watch(self, on_name: OnName) -> None:
        """See `ImageStore.watch`."""
        self._watching.append(on_name)

    def _changed(self, name: str, digest: str, *, present: bool) -> None:
        for tell in self._watching:
            tell(name, digest, present)

    def set(self, name: str, target: Descriptor, labels: Mapping[str, str] | None = None) -> None:
        """See `ImageStore.set`. Raises `NotFound` if the target's blob is not in the store, and
        `InvalidRequest` for what is not the full name of an image."""
        self._blobs.path(target.digest)
        if reference.normalize(name) != name:
            raise InvalidRequest(f"not the full name of an image: {name}")
        row = _Row(target, time.time_ns(), dict(labels or {}))
        data = msgspec.msgpack.encode(row)
        self._db.write("INSERT OR REPLACE INTO images VALUES (?, ?)", name, data)
        self._rows[name] = row
        self._changed(name, target.digest, present=True)

    def get(self, name: str) -> ImageRecord:
        """The image of that name. Raises `NotFound`."""
        if (row := self._rows.get(name)) is None:
            raise NotFound(f"image {name} not found")
        return ImageRecord(name, row.target, utc(row.updated_ns), row.labels)

    def list(self) -> Sequence[ImageRecord]:
        """All, by name."""
        return [self.get(name) for name in sorted(self._rows)]

    def delete(self, name: str) -> None:
        """Forget a name; the blobs go with the next prune. Raises `NotFound`."""
        gone = self.get(name)
        self._db.write("DELETE FROM images WHERE name = ?", name)
        del self._rows[name]
        self._changed(name, gone.target.digest, present=False)

    def held_blobs(self) -> Set[str]:
        """The digests that names hold, whether they are here or not."""
        held: builtins.set[str] = builtins.set()
        for row in self._rows.values():
            reach(self._blobs, row.target.digest, held)
        return held


def reach(blobs: DiskBlobStore, digest: str, digests: set[str], *, layers: bool = True) -> None:
    """Add a blob and all that it names, directly or not, to `digests`. Without `layers`, of an
    image's layers only those that are attestations."""
    waiting = [digest]
    while waiting:
        at = waiting.pop()
        if at in digests:
            continue
        digests.add(at)
        if blobs.has(at) and blobs.size(at) <= 4 << 20:
            waiting += _links(blobs.peek(at), layers=layers)


def _links(data: bytes, *, layers: bool) -> Sequence[str]:
    if not data.lstrip().startswith(b"{"):
        return ()
    try:
        links = gojson.unmarshal(data, type=_Links)
    except (msgspec.DecodeError, RecursionError):
        return ()
    counted = [d for d in links.layers or () if layers or d.media_type == IN_TOTO]
    linked = [*(links.manifests or ()), *counted, *([links.config] if links.config else [])]
    return [d.digest for d in linked]
