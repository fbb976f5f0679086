"""`croze cache-mount export`: to a cache, or a file (an OCI layout's tar)."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from croze.cli.cache_mount.moving import parse_cache, say
from croze.cli.daemon import with_client
from croze.cli.flags import Flags, UsageError

if TYPE_CHECKING:
    from croze.cli.common import Common
    from croze.client.connect import Client

COMMAND = "croze cache-mount export"


def run(argv: Sequence[str], common: Common) -> int:
    flags = Flags(COMMAND, "Write cache mounts to a file or a cache", "[OPTIONS] [ID...]")
    flags.text("-o", "--output", help='A file, or "-" for standard output', metavar="file")
    flags.text("--to", help='A cache of their own (e.g. "type=registry,ref=user/app:mounts")')
    flags.add_argument("names", metavar="ID", nargs="*")
    args = flags.read(argv, common)
    if bool(args.output) == bool(args.to):
        raise UsageError("export requires either --output or --to", COMMAND)
    if args.output == "-" and sys.stdout.isatty():
        raise UsageError("refusing to write to a terminal, redirect the output", COMMAND)
    cache = parse_cache(args.to, COMMAND) if args.to else None

    async def export(client: Client) -> None:
        from croze.client.crozed import cache_mounts, mounts_archive

        if cache is not None:
            await cache_mounts.export_to(client.channel, args.names, cache, say)
        else:
            target = None if args.output == "-" else Path(args.output)
            await mounts_archive.export_to(client.channel, args.names, target, say)

    with_client(common, export)
    return 0
