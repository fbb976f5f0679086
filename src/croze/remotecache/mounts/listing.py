"""The listing of the mounts that lie beside a cache, and the media types of all that does."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from croze.errors import InvalidRequest
from croze.gotypes import gojson
from croze.image.descriptor import Descriptor
from croze.patterns import lazy_pattern

LISTING: Final = "application/vnd.croze.cachemounts.v1+json"
INDEX: Final = "application/vnd.croze.cachemount.tree.v1.msgpack+zstd"
PACK: Final = "application/vnd.croze.cachemount.pack.v1+zstd"
# No tool takes these for an image's index or manifest, however it looks at the name.
LIMIT_BYTES: Final = 16 << 20
_DIGEST = lazy_pattern(r"sha256:[0-9a-f]{64}")


class ListedBlob(msgspec.Struct, frozen=True):
    """A blob that lies beside a cache; `size` in bytes."""

    digest: str
    size: int


class ListedMount(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """The contents of one mount. `base`: digest of what the mount starts with (`from=`, an owner or
    mode), empty for nothing. `size`: bytes of its files. `used_at`: RFC 3339."""

    id: str
    base: str = ""
    index: ListedBlob
    packs: tuple[ListedBlob, ...] = ()
    size: int = 0
    files: int = 0
    used_at: str = ""

    @property
    def packed_bytes(self) -> int:
        """How much is to be fetched, all in all."""
        return self.index.size + sum(pack.size for pack in self.packs)

    def descriptors(self) -> list[Descriptor]:
        """The index and the packs."""
        packs = (Descriptor(PACK, pack.digest, pack.size) for pack in self.packs)
        return [Descriptor(INDEX, self.index.digest, self.index.size), *packs]


class Listing(msgspec.Struct, frozen=True):
    """All cache mounts beside one cache."""

    mounts: tuple[ListedMount, ...]
    version: int = 1


def encode(mounts: Iterable[ListedMount]) -> bytes:
    """The listing's bytes, sorted by id and base, whatever the order of `mounts`."""
    return gojson.marshal(Listing(tuple(sorted(mounts, key=lambda m: (m.id, m.base)))))


def decode(data: bytes) -> Listing:
    """The listing in a blob's bytes. Raises `InvalidRequest` for what is none."""
    try:
        listing = gojson.unmarshal(data, type=Listing)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise InvalidRequest(f"invalid listing of cache mounts: {error}") from None
    if listing.version != 1:
        raise InvalidRequest(f"listing of cache mounts has unknown version {listing.version}")
    if len({(m.id, m.base) for m in listing.mounts}) < len(listing.mounts):
        raise InvalidRequest("invalid listing of cache mounts: a mount is there twice")
    for blob in (b for m in listing.mounts for b in (m.index, *m.packs)):
        if not _DIGEST.fullmatch(blob.digest) or blob.size < 0:
            raise InvalidRequest(f"invalid listing of cache mounts: bad digest {blob.digest!r}")
    return listing


def find_listing(beside: Sequence[Descriptor]) -> Descriptor | None:
    """The listing's descriptor among what lies beside a cache. Raises `InvalidRequest` for one that
    is too large."""
    listing = next((each for each in beside if each.media_type == LISTING), None)
    if listing is not None and listing.size > LIMIT_BYTES:
        raise InvalidRequest(f"listing of cache mounts is too large ({listing.size} bytes)")
    return listing
