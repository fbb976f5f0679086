"""A cache as its importer has read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from croze.image.descriptor import Descriptor
from croze.remotecache.config import CacheConfig


class FoundCache(Struct, frozen=True):
    """A cache that an importer has read. `layers`: descriptors by blob, with their annotations.
    `name`: a digest. `beside`: see `remotecache.beside`."""

    name: str
    config: CacheConfig
    layers: Mapping[str, Descriptor]
    beside: Sequence[Descriptor] = ()
