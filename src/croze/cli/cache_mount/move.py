"""`croze cache-mount export` and `import`: to and from a cache, or a file (an OCI layout's tar)."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from croze.cli.daemon import with_client
from croze.cli.flags import Flags, UsageError

if TYPE_CHECKING:
    from croze.cli.common import Common
    from croze.client.connect import Client
    from croze.client.plan import CacheEntry

EXPORT, IMPORT = "croze cache-mount export", "croze cache-mount import"


def run_export(argv: Sequence[str], common: Common) -> int:
    flags = Flags(EXPORT, "Write cache mounts to a file or a cache", "[OPTIONS] [ID...]")
    flags.text("-o", "--output", help='A file, or "-" for standard output', metavar="file")
    flags.text("--to", help='A cache of their own (e.g. "type=registry,ref=user/app:mounts")')
    flags.add_argument("names", metavar="ID", nargs="*")
    read = flags.read(argv, common)
    if bool(read.output) == bool(read.to):
        raise UsageError("export requires either --output or --to", EXPORT)
    if read.output == "-" and sys.stdout.isatty():
        raise UsageError("refusing to write to a terminal, redirect the output", EXPORT)
    cache = _cache(read.to, EXPORT) if read.to else None

    async def export(client: Client) -> None:
        from croze.client import cache_mounts, mounts_archive

        if cache is not None:
            await cache_mounts.export_to(client.channel, read.names, cache, say)
        else:
            target = None if read.output == "-" else Path(read.output)
            await mounts_archive.export_to(client.channel, read.names, target, say)

    with_client(common, export)
    return 0


def run_import(argv: Sequence[str], common: Common) -> int:
    usage = "[OPTIONS] FILE|- [ID...]\n       croze cache-mount import --from CACHE [ID...]"
    flags = Flags(IMPORT, "Merge cache mounts from a file or a cache", usage)
    flags.text("--from", help='A cache (e.g. "type=registry,ref=user/app:mounts")')
    flags.add_argument("names", metavar="ID", nargs="*")
    read = flags.read(argv, common)
    origin = str(getattr(read, "from"))
    cache = _cache(origin, IMPORT) if origin else None
    if cache is None and not read.names:
        raise UsageError("import requires a file, or --from", IMPORT)

    async def bring(client: Client) -> None:
        from croze.client import cache_mounts, mounts_archive

        if cache is not None:
            await cache_mounts.import_from(client.channel, read.names, cache, say)
        else:
            file, *names = read.names
            source = None if file == "-" else Path(file)
            await mounts_archive.import_from(client.channel, names, source, say)

    with_client(common, bring)
    return 0


def _cache(text: str, command: str) -> CacheEntry:
    from croze.client.flags_cache import complete, parse_caches
    from croze.client.plan import CacheEntry

    found = complete(parse_caches([text]))
    if len(found) != 1:
        raise UsageError(f"invalid cache {text}: one is needed", command)
    return CacheEntry(found[0].type, dict(found[0].attrs))


def say(text: str, warning: bool) -> None:
    """To standard error: standard output may be the file."""
    print(f"WARNING: {text}" if warning else text, file=sys.stderr, flush=True)
