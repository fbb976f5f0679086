"""A cache from elsewhere: as its importer has read it, and as the solver looks into it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from croze.image.descriptor import Descriptor
from croze.remotecache.config import CacheConfig
from croze.solver.caches import CacheSource
from croze.store.contract import BlobFetcher


class FoundCache(Struct, frozen=True):
    """A cache that an importer has read. `layers`: descriptors by blob, with their annotations.
    `name`: a digest. `beside`: see `remotecache.beside`."""

    name: str
    config: CacheConfig
    layers: Mapping[str, Descriptor]
    beside: Sequence[Descriptor] = ()


class OpenedCache(Struct, frozen=True):
    """A cache to look results up in, and what lies beside it. `fetcher` brings that."""

    source: CacheSource
    beside: Sequence[Descriptor] = ()
    fetcher: BlobFetcher | None = None
