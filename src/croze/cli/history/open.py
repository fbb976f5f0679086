"""`croze history open`: a build's page in Docker Desktop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from croze.cli import interrupted
from croze.cli.desktop import build_url, open_url
from croze.cli.flags import Flags, UsageError
from croze.cli.history.find import found
from croze.cli.nodes import connected

if TYPE_CHECKING:
    from croze.cli.common import Common

COMMAND = "croze history open"


def run(argv: Sequence[str], common: Common) -> int:
    flags = Flags(COMMAND, "Open a build record in Docker Desktop", "[OPTIONS] [REF]")
    flags.add_argument("ref", metavar="REF", nargs="*")
    args = flags.read(argv, common)
    if len(args.ref) > 1:
        raise UsageError(f"accepts at most 1 arg(s), received {len(args.ref)}", COMMAND)
    open_url(build_url(interrupted.run(_full_ref(common, args.ref[0] if args.ref else ""))))
    return 0


async def _full_ref(common: Common, ref: str) -> str:
    async with connected(common) as nodes:
        record, node, _ = await found(nodes, ref)
        return node.full_ref(record.Ref)
