"""`croze cache-mount import`: from a cache, or a file (an OCI layout's tar)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from croze.cli.cache_mount.moving import parse_cache, say
from croze.cli.daemon import with_client
from croze.cli.flags import Flags, UsageError

if TYPE_CHECKING:
    from croze.cli.common import Common
    from croze.client.connect import Client

COMMAND = "croze cache-mount import"


def run(argv: Sequence[str], common: Common) -> int:
    usage = "[OPTIONS] FILE|- [ID...]\n       croze cache-mount import --from CACHE [ID...]"
    flags = Flags(COMMAND, "Merge cache mounts from a file or a cache", usage)
    flags.text("--from", help='A cache (e.g. "type=registry,ref=user/app:mounts")')
    flags.add_argument("names", metavar="ID", nargs="*")
    args = flags.read(argv, common)
    origin = str(getattr(args, "from"))
    cache = parse_cache(origin, COMMAND) if origin else None
    if cache is None and not args.names:
        raise UsageError("import requires a file, or --from", COMMAND)

    async def bring(client: Client) -> None:
        from croze.client.crozed import cache_mounts, mounts_archive

        if cache is not None:
            await cache_mounts.import_from(client.channel, args.names, cache, say)
        else:
            file, *names = args.names
            source = None if file == "-" else Path(file)
            await mounts_archive.import_from(client.channel, names, source, say)

    with_client(common, bring)
    return 0
