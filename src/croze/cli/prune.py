"""`croze prune`: remove build cache."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from croze.cli.builder import add_timeout, timeout_s
from croze.cli.cache_filters import parse_filters, with_configured
from croze.cli.daemon import with_clients
from croze.cli.du import created, last_used
from croze.cli.flags import Flags, UsageError
from croze.client.docker.cli_config import configured_filters
from croze.errors import CrozeError
from croze.gotypes.quote import quote
from croze.gotypes.sizes import human_size as size
from croze.gotypes.tabwriter import align_by_tabs

if TYPE_CHECKING:
    from croze.cli.common import Common
    from croze.client.connect import Client, UsageRecord

COMMAND = "croze prune"
_OLD = "--keep-storage"
_HEADER = "ID\tRECLAIMABLE\tSIZE\tLAST ACCESSED"


def flags() -> Flags:
    flags = Flags(COMMAND, "Remove build cache", "[OPTIONS]")
    flags.switch("-a", "--all", help="Include internal/frontend images")
    flags.texts("--filter", help='Provide filter values (e.g. "until=24h")')
    flags.switch("-f", "--force", help="Do not prompt for confirmation")
    flags.text("--max-used-space", help="Maximum disk space to keep", metavar="bytes")
    flags.text("--min-free-space", help="Disk space to leave free", metavar="bytes")
    flags.text("--reserved-space", help="Disk space always allowed", metavar="bytes")
    flags.alias(_OLD, of="reserved_space")
    flags.set_defaults(max_used_space=None, min_free_space=None, reserved_space=None)
    add_timeout(flags)
    flags.switch("--verbose", help="Provide a more verbose output")
    flags.add_argument("extra", nargs="*", metavar="")
    return flags


def run(argv: Sequence[str], common: Common) -> int:
    """Remove build cache. Asks first, unless told not to; shows each record as it goes."""
    args = flags().read(argv, common)
    if args.extra:
        raise UsageError(f"'{COMMAND}' accepts no arguments", COMMAND)
    filters = parse_filters(with_configured(args.filter, configured_filters()))
    limit_s = timeout_s(args.timeout, COMMAND)
    is_old = any(word.partition("=")[0] == _OLD for word in argv)
    limits = (
        _limit(_OLD if is_old else "--reserved-space", args.reserved_space),
        _limit("--max-used-space", args.max_used_space),
        _limit("--min-free-space", args.min_free_space),
    )
    if is_old:
        print(
            f"Flag {_OLD} has been deprecated, keep-storage flag has been changed to "
            "reserved-space",
            file=sys.stderr,
        )
    if not args.force and not confirmed(args.all):
        return 0

    shown = _Shown(verbose=args.verbose)

    async def prune(client: Client) -> int:
        total = 0
        gone = client.prune(
            filters.filters,
            all=args.all,
            keep_duration_s=filters.unused_for_s,
            reserved_space=limits[0],
            max_used_space=limits[1],
            min_free_space=limits[2],
        )
        async for record in gone:
            total += record.Size
            shown.add(record)
        return total

    total = sum(with_clients(common, prune, timeout_s=limit_s, doing="failed to call prune"))
    print(align_by_tabs(f"Total:\t{size(total)}"))
    return 0


def _limit(flag: str, text: str | None) -> int:
    """Bytes; 0 for no limit, which is what is not asked for. Raises `UsageError`."""
    from croze.gotypes.sizes import parse_bytes

    if text is None:
        return 0
    try:
        return parse_bytes(text)
    except CrozeError as error:
        shown = f'invalid argument {quote(text)} for "{flag}" flag'
        raise UsageError(f"{shown}: {error}", COMMAND) from None


class _Shown:
    """Prints records as they come."""

    def __init__(self, *, verbose: bool) -> None:
        self._verbose = verbose
        self._begun = False

    def add(self, record: UsageRecord) -> None:
        if self._verbose:
            print(details(record), flush=True)
            return
        lines = row(record) if self._begun else f"{_HEADER}\n{row(record)}"
        self._begun = True
        print(align_by_tabs(lines), flush=True)


def row(record: UsageRecord) -> str:
    """The cells of a record. `*` marks records that still change, and sizes that are shared."""
    name = record.ID + ("*" if record.Mutable else "")
    idle = "false" if record.InUse else "true"
    size_text = size(record.Size) + ("*" if record.Shared else "")
    return f"{name:<40}\t{idle:<5}\t{size_text:<10}\t{last_used(record)}"


def details(record: UsageRecord) -> str:
    """Everything about a record, and an empty line."""
    rows = [
        ("ID", record.ID),
        ("Parent", ",".join(record.Parents)),
        ("Created at", created(record)),
        ("Mutable", str(record.Mutable).lower()),
        ("Reclaimable", str(not record.InUse).lower()),
        ("Shared", str(record.Shared).lower()),
        ("Size", size(record.Size)),
        ("Description", record.Description),
        ("Usage count", str(record.UsageCount)),
        ("Last used", last_used(record)),
        ("Type", record.RecordType),
    ]
    return align_by_tabs("".join(f"{key}:\t{value}\n" for key, value in rows if value))


def confirmed(everything: bool) -> bool:
    """Whether the user agrees: asked on the terminal; without one the answer is no."""
    what = "all" if everything else "all dangling"
    question = f"WARNING! This will remove {what} build cache. Are you sure you want to continue?"
    print(f"{question} [y/N] ", end="", flush=True)
    return sys.stdin.readline().strip().lower() == "y"
