"""`croze history rm`: forget builds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from croze.cli import interrupted
from croze.cli.flags import Flags, UsageError
from croze.cli.nodes import connected
from croze.client.records import history
from croze.errors import CrozeError

if TYPE_CHECKING:
    from croze.cli.common import Common

COMMAND = "croze history rm"


def run(argv: Sequence[str], common: Common) -> int:
    flags = Flags(COMMAND, "Remove build records", "[OPTIONS] [REF...]")
    flags.switch("--all", help="Remove all build records")
    flags.add_argument("refs", metavar="REF", nargs="*")
    args = flags.read(argv, common)
    if args.all and args.refs:
        raise UsageError("rm requires either --all or at least one argument", COMMAND)
    if not args.all and not args.refs:
        raise UsageError("rm requires at least one argument", COMMAND)
    interrupted.run(_all(common) if args.all else _remove(common, args.refs))
    return 0


async def _all(common: Common) -> None:
    async with connected(common) as nodes:
        for node in nodes:
            listed = await history.records(node.client.channel, limit=0, completed=True)
            for record in listed.records:
                await history.delete(node.client.channel, record.Ref)


async def _remove(common: Common, refs: Sequence[str]) -> None:
    """Each from whichever node has it. Raises what the nodes said of those that none has."""
    complaints: list[str] = []
    async with connected(common) as nodes:
        for ref in refs:
            errors = []
            for node in nodes:
                try:
                    await history.delete(node.client.channel, ref)
                except CrozeError as error:
                    errors.append(str(error))
            if len(errors) == len(nodes):
                complaints += errors
    if complaints:
        raise CrozeError("\n".join(complaints))
