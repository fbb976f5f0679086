"""`croze history inspect attachment`: one thing that is kept with a record, as it is."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from croze.cli import interrupted
from croze.cli.flags import Flags, UsageError
from croze.cli.history.attachments import attachments
from croze.cli.history.find import found
from croze.cli.nodes import connected
from croze.client.records import history
from croze.errors import InvalidRequest, NotFound
from croze.files.terminals import for_terminals
from croze.gotypes.quote import quote
from croze.image.reference import check_digest

if TYPE_CHECKING:
    from croze.cli.common import Common

COMMAND = "croze history inspect attachment"
TYPES = {
    "index": ("application/vnd.oci.image.index.v1+json",),
    "manifest": ("application/vnd.oci.image.manifest.v1+json",),
    "image": ("application/vnd.oci.image.config.v1+json",),
    "provenance": ("https://slsa.dev/provenance/v1", "https://slsa.dev/provenance/v0.2"),
    "sbom": ("https://spdx.dev/Document",),
}


def run(argv: Sequence[str], common: Common) -> int:
    flags = Flags(COMMAND, "Inspect a build record attachment", "[OPTIONS] [REF [DIGEST]]")
    flags.text("--platform", help="Platform of attachment")
    flags.text("--type", help="Type of attachment")
    flags.add_argument("words", metavar="REF [DIGEST]", nargs="*")
    args = flags.read(argv, common)
    if len(args.words) > 2:
        raise UsageError(f"accepts at most 2 arg(s), received {len(args.words)}", COMMAND)
    ref, digest = (*args.words, "", "")[:2]
    if digest:
        try:
            check_digest(digest)
        except InvalidRequest as error:
            raise UsageError(f"invalid digest {quote(digest)}: {error}", COMMAND) from None
    if not (digest or args.platform or args.type):
        raise UsageError("at least one of --type, --platform or DIGEST must be specified", COMMAND)
    interrupted.run(_show(common, ref, digest, args.platform, args.type))
    return 0


async def _show(common: Common, ref: str, digest: str, platform: str, kind: str) -> None:
    async with connected(common) as nodes:
        record, node, _ = await found(nodes, ref)
        channel = node.client.channel
        types = TYPES.get(kind, (kind,))
        if not digest:
            for one in await attachments(channel, record):
                if (not platform or one.platform == platform) and (not kind or one.type in types):
                    digest = one.digest
                    break
            else:
                raise NotFound(f"no matching attachment found for ref {quote(ref)}")
        async for part in history.blob(channel, digest):
            for_terminals(sys.stdout.buffer).write(part)
        sys.stdout.buffer.flush()
