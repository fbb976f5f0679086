"""`buildctl du` and `prune`."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from croze.cli.buildctl.connection import ConnectionSettings
from croze.cli.buildctl.flags import ConnectionFlags
from croze.cli.buildctl.templates import FORMAT, check, rendered, struct
from croze.cli.buildctl.text import size
from croze.cli.common import UsageError
from croze.cli.du import go_time
from croze.errors import InvalidRequest
from croze.gotypes.duration import DurationError, parse_duration
from croze.gotypes.moments import rfc3339
from croze.gotypes.numbers import parse_float
from croze.gotypes.tabwriter import align_by_tabs
from croze.gotypes.template import Fields, Nil

if TYPE_CHECKING:
    from croze.client.connect import UsageRecord

_HEADER = "ID\tRECLAIMABLE\tSIZE\tLAST ACCESSED"
_LIMITS = ("--keep-storage", "--keep-storage-min", "--free-storage")


def run(name: str, argv: Sequence[str], connection: ConnectionSettings) -> int:
    flags = ConnectionFlags(f"buildctl {name}", "disk usage")
    flags.text("--format", help=FORMAT)
    flags.texts("-f", "--filter", help="Filter records")
    flags.switch("-v", "--verbose", help="Verbose output")
    if name == "prune":
        flags.switch("--all", help="Include internal/frontend references")
        flags.text("--keep-duration", help="Keep data newer than this limit")
        for limit in _LIMITS:
            flags.text(limit, help="Limit in MB")
    args, connection = flags.take(argv, connection)
    check(args.format)
    asyncio.run(_du(connection, args) if name == "du" else _prune(connection, args))
    return 0


async def _du(connection: ConnectionSettings, args: argparse.Namespace) -> None:
    async with connection.client() as client:
        records = sorted(
            await client.disk_usage(args.filter), key=lambda record: (record.Size, record.ID)
        )
    if args.format:
        sys.stdout.write(rendered(args.format, [_value(record) for record in records]))
        return
    if args.verbose:
        text = "".join(map(_details, records))
    else:
        text = "".join(f"{line}\n" for line in (_HEADER, *map(_row, records)))
    sys.stdout.write(align_by_tabs(text))
    if not args.filter:
        sys.stdout.write(align_by_tabs(_summary(records)))


async def _prune(connection: ConnectionSettings, args: argparse.Namespace) -> None:
    total, begun = 0, False
    megabytes = [_megabytes(args, limit) for limit in _LIMITS]
    keep_duration_s = _seconds(args.keep_duration)
    async with connection.client() as client:
        gone = client.prune(
            args.filter,
            all=args.all,
            keep_duration_s=keep_duration_s,
            max_used_space=megabytes[0],
            reserved_space=megabytes[1],
            min_free_space=megabytes[2],
        )
        async for record in gone:
            total += record.Size
            if args.format:
                text = rendered(args.format, _value(record))
            elif args.verbose:
                text = align_by_tabs(_details(record))
            else:
                text = align_by_tabs(("" if begun else f"{_HEADER}\n") + _row(record) + "\n")
            begun = True
            sys.stdout.write(text)
            sys.stdout.flush()
    if not args.format:
        sys.stdout.write(align_by_tabs(f"Total:\t{size(total)}\n"))


def _seconds(text: str) -> float:
    try:
        return parse_duration(text) / 1e9 if text else 0.0
    except DurationError as error:
        message = f'invalid value "{text}" for flag -keep-duration: {error}'
        raise UsageError(message, "buildctl prune") from None


def _megabytes(args: argparse.Namespace, limit: str) -> int:
    text = getattr(args, limit.lstrip("-").replace("-", "_"))
    failure = f'invalid value "{text}" for flag {limit.removeprefix("-")}'
    try:
        size_bytes = parse_float(text) * 1e6 if text else 0.0
    except InvalidRequest as error:
        raise UsageError(f"{failure}: {error}", "buildctl prune") from None
    if not abs(size_bytes) < 1 << 63:
        raise UsageError(f"{failure}: value out of range", "buildctl prune")
    return int(size_bytes)


def _row(record: UsageRecord) -> str:
    name = record.ID + ("*" if record.Mutable else "")
    size_text = size(record.Size) + ("*" if record.Shared else "")
    return f"{name:<71}\t{str(not record.InUse).lower():<11}\t{size_text}\t"


def _details(record: UsageRecord) -> str:
    last = go_time(record.LastUsedAt) if record.HasField("LastUsedAt") else ""
    rows = [
        ("ID", record.ID),
        ("Parents", ";".join(record.Parents)),
        ("Created at", go_time(record.CreatedAt)),
        ("Mutable", str(record.Mutable).lower()),
        ("Reclaimable", str(not record.InUse).lower()),
        ("Shared", str(record.Shared).lower()),
        ("Size", size(record.Size)),
        ("Description", record.Description),
        ("Usage count", str(record.UsageCount)),
        ("Last used", last),
        ("Type", record.RecordType),
    ]
    return "".join(f"{key}:\t{value}\n" for key, value in rows if value) + "\n"


def _summary(records: Sequence[UsageRecord]) -> str:
    total = sum(record.Size for record in records)
    shared = sum(record.Size for record in records if record.Shared)
    rows = [("Shared", shared), ("Private", total - shared)] if shared else []
    rows.append(("Reclaimable", sum(record.Size for record in records if not record.InUse)))
    rows.append(("Total", total))
    return "".join(f"{key}:\t{size(value)}\n" for key, value in rows)


def _value(record: UsageRecord) -> Fields:
    members = {
        "id": record.ID,
        "mutable": record.Mutable,
        "inUse": record.InUse,
        "size": record.Size,
        "createdAt": rfc3339(record.CreatedAt),
        "lastUsedAt": rfc3339(record.LastUsedAt) if record.HasField("LastUsedAt") else None,
        "usageCount": record.UsageCount,
        "parents": list(record.Parents) or None,
        "description": record.Description,
        "recordType": record.RecordType,
        "shared": record.Shared,
    }
    used = go_time(record.LastUsedAt) if record.HasField("LastUsedAt") else Nil("*time.Time")
    parents = list(record.Parents)
    return struct(members, CreatedAt=go_time(record.CreatedAt), LastUsedAt=used, Parents=parents)
