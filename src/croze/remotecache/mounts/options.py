"""The attributes `mounts` and `mounts-max-size` of a cache, and what a mount is called."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct

from croze.errors import InvalidRequest
from croze.gotypes.sizes import parse_bytes

MOUNTS: Final = "mounts"
MAX_SIZE: Final = "mounts-max-size"
ALL: Final = "*"


class MountOptions(Struct, frozen=True):
    """Which mounts travel. `max_bytes`: of what their files hold, all together; None for no limit
    but the daemon's."""

    ids: tuple[str, ...]
    max_bytes: int | None = None

    def wants(self, id: str) -> bool:
        """Whether the mount of this id is to travel."""
        return ALL in self.ids or any(is_called(id, name) for name in self.ids)

    def unknown(self, ids: Iterable[str]) -> list[str]:
        """Names that mean none of `ids`."""
        known_ids = tuple(ids)
        return [n for n in self.ids if n != ALL and not any(is_called(id, n) for id in known_ids)]


def mount_options(attrs: Mapping[str, str]) -> MountOptions | None:
    """What is asked of cache mounts; None where none are asked for. Raises `InvalidRequest`."""
    if MOUNTS not in attrs:
        if MAX_SIZE in attrs:
            raise InvalidRequest(f"{MAX_SIZE} has no meaning without {MOUNTS}")
        return None
    ids = tuple(dict.fromkeys(filter(None, re.split(r"[,;\s]+", attrs[MOUNTS]))))
    if not ids:
        raise InvalidRequest(f"{MOUNTS} requires ids of cache mounts, or * for all of the build")
    try:
        size = parse_bytes(attrs[MAX_SIZE]) if MAX_SIZE in attrs else None
    except InvalidRequest as err:
        raise err.wrap(f"failed to parse {MAX_SIZE}") from None
    return MountOptions(ids, size)


def is_called(id: str, name: str) -> bool:
    """Whether a user's `name` means the mount with this id. A Dockerfile's mounts have a namespace
    in front (`BUILDKIT_CACHE_MOUNT_NS`, usually empty) that need not be said."""
    return name in (id, shown(id), id.partition("/")[2])


def shown(id: str) -> str:
    """The id without an empty namespace: as it is in the Dockerfile."""
    return id.removeprefix("/")
