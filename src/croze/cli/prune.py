"""`croze prune`: remove build cache."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from croze.cli.daemon import with_client
from croze.cli.du import HEADER, filters, row
from croze.cli.flags import Flags, UsageError
from croze.cli.table import size, table

if TYPE_CHECKING:
    from croze.cli.common import Common
    from croze.client.connect import Client, UsageRecord


def run(argv: Sequence[str], common: Common) -> int:
    """Asks first, unless told not to."""
    flags = Flags("croze prune", "Remove build cache", "[OPTIONS]")
    flags.switch("-a", "--all", help="Include internal and frontend records")
    flags.texts("--filter", help='Provide filter values (e.g. "until=24h")')
    flags.switch("-f", "--force", help="Do not prompt for confirmation")
    flags.text("--max-used-space", help="Maximum disk space to keep", metavar="bytes")
    flags.text("--min-free-space", help="Disk space to leave free", metavar="bytes")
    flags.text("--reserved-space", help="Disk space always allowed", metavar="bytes")
    read = flags.read(argv, common)
    if not read.force and not confirmed(read.all):
        return 0
    until = [f.removeprefix("until=") for f in read.filter if f.startswith("until=")]
    terms = [f for f in read.filter if not f.startswith("until=")]

    async def prune(client: Client) -> list[UsageRecord]:
        from croze.client.flags_run import parse_bytes

        def limit(text: str) -> int:
            return parse_bytes(text) if text else 0

        gone = client.prune(
            filters(terms),
            all=read.all,
            keep_duration_s=seconds(until[-1]) if until else 0,
            reserved_space=limit(read.reserved_space),
            max_used_space=limit(read.max_used_space),
            min_free_space=limit(read.min_free_space),
        )
        return [record async for record in gone]

    records = with_client(common, prune)
    if records:
        print(table(HEADER, (row(record) for record in records)))
    print(f"Total:\t{size(sum(record.Size for record in records))}")
    return 0


def confirmed(everything: bool) -> bool:
    """Ask on the terminal; without one the answer is no."""
    what = "all" if everything else "all dangling"
    print(
        f"WARNING! This will remove {what} build cache. Are you sure you want to continue? [y/N] "
    )
    return sys.stdin.readline().strip().lower() in ("y", "yes")


_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def seconds(text: str) -> float:
    """Of a duration such as `24h` or `1h30m`."""
    total, number = 0.0, ""
    for letter in text:
        if letter.isdigit() or letter == ".":
            number += letter
        elif letter in _UNITS and number:
            total, number = total + float(number) * _UNITS[letter], ""
        else:
            raise UsageError(f"invalid duration {text!r}", "croze prune")
    if number:
        raise UsageError(f"missing unit in duration {text!r}", "croze prune")
    return total
