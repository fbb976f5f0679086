"""`croze images`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from croze.cli.daemon import with_client
from croze.cli.flags import Flags
from croze.cli.table import age, table
from croze.gotypes.sizes import human_size as size

if TYPE_CHECKING:
    from croze.cli.common import Common
    from croze.client.connect import Client
    from croze.client.crozed.calls import StoredImage


def run(argv: Sequence[str], common: Common) -> int:
    """List the images of the local store."""
    flags = Flags("croze images", "List the images of the local store", "[OPTIONS]")
    flags.switch("-q", "--quiet", help="Only print digests")
    flags.switch("--no-trunc", help="Do not shorten digests")
    args = flags.read(argv, common)

    async def ask(client: Client) -> list[StoredImage]:
        from croze.client.crozed.calls import CrozedClient

        return await CrozedClient(client.channel).images()

    images = with_client(common, ask)
    if args.quiet:
        for image in images:
            print(image.digest)
        return 0
    rows = [row(image, full=args.no_trunc) for image in images]
    print(table(("REPOSITORY", "TAG", "DIGEST", "PLATFORMS", "CREATED", "SIZE"), rows))
    return 0


def row(image: StoredImage, *, full: bool) -> tuple[str, ...]:
    """One line of the list."""
    digest = image.digest if full else image.digest.removeprefix("sha256:")[:12]
    return (
        image.repository,
        image.tag or "<none>",
        digest,
        ",".join(image.platforms),
        age(time.time() - image.updated_at),
        size(image.size),
    )
