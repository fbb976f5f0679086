"""`croze cache-mount rm`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from croze.cli.daemon import with_client
from croze.cli.flags import Flags, UsageError

if TYPE_CHECKING:
    from croze.cli.common import Common
    from croze.client.connect import Client

COMMAND = "croze cache-mount rm"


def run(argv: Sequence[str], common: Common) -> int:
    """Remove mounts: the next step that uses them starts with empty ones."""
    flags = Flags(COMMAND, "Remove cache mounts", "[OPTIONS] [ID...]")
    flags.switch("--all", help="Remove all cache mounts")
    flags.add_argument("names", metavar="ID", nargs="*")
    args = flags.read(argv, common)
    if bool(args.all) == bool(args.names):
        raise UsageError("rm requires either --all or at least one argument", COMMAND)

    async def remove(client: Client) -> list[str]:
        from croze.client.crozed.cache_mounts import remove

        return await remove(client.channel, args.names)

    for id in with_client(common, remove):
        print(id)
    return 0
