"""`croze cache-mount inspect`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from croze.cli.cache_mount.ls import listed
from croze.cli.daemon import with_client
from croze.cli.flags import Flags
from croze.gotypes.moments import rfc3339

if TYPE_CHECKING:
    from croze.cli.common import Common

COMMAND = "croze cache-mount inspect"


def run(argv: Sequence[str], common: Common) -> int:
    """Print a mount as JSON, a list: a private mount may have several directories."""
    flags = Flags(COMMAND, "Show everything about cache mounts", "ID [ID...]")
    flags.some_arguments("names", metavar="ID")
    args = flags.read(argv, common)
    mounts = with_client(common, lambda client: listed(client, args.names))
    shown = [
        {
            "id": mount.id,
            "record": mount.record,
            "base": mount.base,
            "description": mount.description,
            "inUse": mount.in_use,
            "size": mount.size,
            "entries": mount.entries,
            "createdAt": rfc3339(mount.created_at),
            "lastUsedAt": rfc3339(mount.last_used_at),
            "usageCount": mount.usage_count,
        }
        for mount in mounts
    ]
    print(json.dumps(shown, indent=2, ensure_ascii=False))
    return 0
