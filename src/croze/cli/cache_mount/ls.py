"""`croze cache-mount ls`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from croze.cli.daemon import with_client
from croze.cli.flags import Flags
from croze.cli.format import print_formatted
from croze.cli.table import age
from croze.gotypes.moments import rfc3339
from croze.gotypes.sizes import human_size as size
from croze.gotypes.template import Fields
from croze.gotypes.template.functions import json_text

if TYPE_CHECKING:
    from croze.cli.common import Common
    from croze.client.connect import Client
    from croze.client.crozed.cache_mounts import Mount

COMMAND = "croze cache-mount ls"
TABLE = "table {{.ID}}\t{{.Size}}\t{{.Entries}}\t{{.InUse}}\t{{.LastUsedAt}}"
HEADERS = {
    "ID": "ID",
    "Record": "RECORD",
    "Base": "BASE",
    "Description": "DESCRIPTION",
    "InUse": "IN USE",
    "Size": "SIZE",
    "Entries": "ENTRIES",
    "CreatedAt": "CREATED AT",
    "LastUsedAt": "LAST USED",
    "UsageCount": "USAGE COUNT",
}


def run(argv: Sequence[str], common: Common) -> int:
    """Print all mounts, those used last first."""
    flags = Flags(COMMAND, "List cache mounts", "[OPTIONS]")
    flags.text("--format", help="Format the output")
    flags.switch("-q", "--quiet", help="Only print ids")
    args = flags.read(argv, common)
    mounts = with_client(common, lambda client: listed(client, ()))
    if args.quiet:
        for id in dict.fromkeys(mount.id for mount in mounts):
            print(id)
        return 0
    items = [fields(mount) for mount in mounts]
    if args.format == "json":
        for item in items:
            print(json_text(item))
    else:
        format = TABLE if args.format in ("", "table") else args.format
        print_formatted(format, items, HEADERS)
    return 0


async def listed(client: Client, names: Sequence[str]) -> list[Mount]:
    from croze.client.crozed.cache_mounts import mounts

    return await mounts(client.channel, names)


def fields(mount: Mount) -> Fields:
    """A mount for templates."""
    return Fields(
        {
            "ID": mount.id,
            "Record": mount.record,
            "Base": mount.base,
            "Description": mount.description,
            "InUse": mount.in_use,
            "Size": size(mount.size),
            "Entries": mount.entries,
            "CreatedAt": rfc3339(mount.created_at),
            "LastUsedAt": age(time.time() - mount.last_used_at.seconds),
            "UsageCount": mount.usage_count,
        },
        "cacheMount",
    )
