"""`croze rmi`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from croze.cli.daemon import with_client
from croze.cli.flags import Flags

if TYPE_CHECKING:
    from croze.cli.common import Common
    from croze.client.connect import Client


def run(argv: Sequence[str], common: Common) -> int:
    """Remove images from the local store; what they used goes with the next prune."""
    flags = Flags("croze rmi", "Remove images from the local store", "[OPTIONS] IMAGE [IMAGE...]")
    flags.some_arguments("image", metavar="IMAGE")
    names: list[str] = flags.read(argv, common).image

    async def remove(client: Client) -> None:
        from croze.client.crozed.calls import CrozedClient

        engine = CrozedClient(client.channel)
        for name in names:
            await engine.remove_image(name)
            print(f"Untagged: {name}")

    with_client(common, remove)
    return 0
