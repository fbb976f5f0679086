"""`buildctl du`, `prune` and `prune-histories`."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from croze.cli.buildctl.connection import Connection
from croze.cli.buildctl.text import aligned, as_json, is_json, moment, second, size
from croze.cli.common import Common
from croze.cli.du import go_time
from croze.cli.flags import Flags, UsageError
from croze.errors import CrozeError
from croze.gotypes.duration import DurationError, parse_duration

if TYPE_CHECKING:
    from croze.client.connect import UsageRecord

_HEADER = "ID\tRECLAIMABLE\tSIZE\tLAST ACCESSED"
_LIMITS = ("--keep-storage", "--keep-storage-min", "--free-storage")


def run(name: str, argv: Sequence[str], connection: Connection) -> int:
    flags = Flags(f"buildctl {name}", "disk usage", "[options]")
    flags.text("--format", help="Format the output using a Go template: '{{json .}}'")
    if name != "prune-histories":
        flags.texts("-f", "--filter", help="Filter records")
        flags.switch("-v", "--verbose", help="Verbose output")
    if name == "prune":
        flags.switch("--all", help="Include internal/frontend references")
        flags.text("--keep-duration", help="Keep data newer than this limit")
        for limit in _LIMITS:
            flags.text(limit, help="Limit in MB")
    read = flags.read(argv, Common())
    json = is_json(read.format, flags.prog)
    match name:
        case "du":
            asyncio.run(_du(connection, read, json=json))
        case "prune":
            asyncio.run(_prune(connection, read, json=json))
        case _:
            return asyncio.run(_forget(connection, json=json))
    return 0


async def _du(connection: Connection, read: argparse.Namespace, *, json: bool) -> None:
    async with connection.client() as client:
        records = sorted(
            await client.disk_usage(read.filter), key=lambda record: (record.Size, record.ID)
        )
    if json:
        sys.stdout.write(as_json([_value(record) for record in records]))
        return
    if read.verbose:
        text = "".join(map(_details, records))
    else:
        text = "".join(f"{line}\n" for line in (_HEADER, *map(_row, records)))
    sys.stdout.write(aligned(text))
    if not read.filter:
        sys.stdout.write(aligned(_summary(records)))


async def _prune(connection: Connection, read: argparse.Namespace, *, json: bool) -> None:
    total, begun = 0, False
    megabytes = [_megabytes(read, limit) for limit in _LIMITS]
    async with connection.client() as client:
        gone = client.prune(
            read.filter,
            all=read.all,
            keep_duration_s=_seconds(read.keep_duration),
            max_used_space=megabytes[0],
            reserved_space=megabytes[1],
            min_free_space=megabytes[2],
        )
        async for record in gone:
            total += record.Size
            if json:
                text = as_json(_value(record))
            elif read.verbose:
                text = aligned(_details(record))
            else:
                text = aligned(("" if begun else f"{_HEADER}\n") + _row(record) + "\n")
            begun = True
            sys.stdout.write(text)
            sys.stdout.flush()
    if not json:
        sys.stdout.write(aligned(f"Total:\t{size(total)}\n"))


def _seconds(text: str) -> float:
    try:
        return parse_duration(text) / 1e9 if text else 0.0
    except DurationError as error:
        message = f'invalid value "{text}" for flag -keep-duration: {error}'
        raise UsageError(message, "buildctl prune") from None


def _megabytes(read: argparse.Namespace, limit: str) -> int:
    text = getattr(read, limit.lstrip("-").replace("-", "_"))
    try:
        return int(float(text or 0) * 1e6)
    except ValueError:
        message = f'invalid value "{text}" for flag {limit}: parse error'
        raise UsageError(message, "buildctl prune") from None


def _row(record: UsageRecord) -> str:
    name = record.ID + ("*" if record.Mutable else "")
    taken = size(record.Size) + ("*" if record.Shared else "")
    return f"{name:<71}\t{str(not record.InUse).lower():<11}\t{taken}\t"


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


def _value(record: UsageRecord) -> dict[str, object]:
    return {
        "id": record.ID,
        "mutable": record.Mutable,
        "inUse": record.InUse,
        "size": record.Size,
        "createdAt": moment(record.CreatedAt),
        "lastUsedAt": moment(record.LastUsedAt) if record.HasField("LastUsedAt") else None,
        "usageCount": record.UsageCount,
        "parents": list(record.Parents) or None,
        "description": record.Description,
        "recordType": record.RecordType,
        "shared": record.Shared,
    }


async def _forget(connection: Connection, *, json: bool) -> int:
    """Every record that is not pinned."""
    from croze.client import history

    rows = ["TYPE\tREF\tCREATED\tCOMPLETED\tGENERATION"]
    failures: list[str] = []
    async with connection.client() as client:
        listed = await history.records(client.channel, limit=0)
        for record in sorted(listed.records, key=lambda record: record.Ref):
            if record.pinned:
                continue
            try:
                await history.delete(client.channel, record.Ref)
            except CrozeError as error:
                failures.append(str(error))
                continue
            ended = record.HasField("CompletedAt")
            completed = second(record.CompletedAt) if ended else ""
            kind = "COMPLETE" if ended else "STARTED"
            times = f"{second(record.CreatedAt)}\t{completed}"
            rows.append(f"{kind}\t{record.Ref}\t{times}\t{record.Generation}")
    if json:
        sys.stdout.write("".join(as_json({"ref": row.split("\t")[1]}) for row in rows[1:]))
    else:
        sys.stdout.write(aligned("\n".join(rows) + "\n"))
    if failures:
        raise CrozeError("\n".join(failures))
    return 0
