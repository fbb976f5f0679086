"""`croze du`, with buildx's columns."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from croze.cli.daemon import with_client
from croze.cli.flags import Flags
from croze.cli.table import age, size, table

if TYPE_CHECKING:
    from croze.cli.common import Common
    from croze.client.connect import Client, UsageRecord

HEADER = ("ID", "RECLAIMABLE", "SIZE", "LAST ACCESSED")


def run(argv: Sequence[str], common: Common) -> int:
    """What the cache takes on disk, record by record."""
    flags = Flags("croze du", "Disk usage", "[OPTIONS]")
    flags.texts("--filter", help="Provide filter values (type=regular, id=..., ...)")
    flags.switch("--verbose", help="Say everything about each record")
    read = flags.read(argv, common)

    async def ask(client: Client) -> list[UsageRecord]:
        return await client.disk_usage(filters(read.filter))

    records = with_client(common, ask)
    records.sort(key=lambda record: record.Size, reverse=True)
    if read.verbose:
        for record in records:
            print(details(record) + "\n")
    else:
        print(table(HEADER, (row(record) for record in records)))
    print(totals(records))
    return 0


def filters(given: Iterable[str]) -> list[str]:
    """`key=value` as the daemon's filter language has it: `key==value`."""
    terms = []
    for text in given:
        key, equals, value = text.partition("=")
        if equals and not value.startswith(("=", "~")):
            text = f"{key}=={value}"
        terms.append(text)
    return [",".join(terms)] if terms else []


def row(record: UsageRecord) -> tuple[str, ...]:
    """One line of the table. `*` marks records that still change."""
    return (
        record.ID + ("*" if record.Mutable else ""),
        "false" if record.InUse else "true",
        size(record.Size),
        last_used(record),
    )


def last_used(record: UsageRecord) -> str:
    if not record.HasField("LastUsedAt"):
        return ""
    return age(time.time() - record.LastUsedAt.ToSeconds())


def details(record: UsageRecord) -> str:
    """Everything about a record."""
    created = record.CreatedAt.ToDatetime().isoformat(sep=" ", timespec="seconds")
    rows = [
        ("ID", record.ID),
        ("Parents", ",".join(record.Parents)),
        ("Created at", f"{created} UTC"),
        ("Mutable", str(record.Mutable).lower()),
        ("Reclaimable", str(not record.InUse).lower()),
        ("Shared", str(record.Shared).lower()),
        ("Size", size(record.Size)),
        ("Description", record.Description),
        ("Usage count", str(record.UsageCount)),
        ("Last used", last_used(record)),
        ("Type", record.RecordType),
    ]
    return "\n".join(f"{key + ':':<16}{value}" for key, value in rows if value)


def totals(records: Sequence[UsageRecord]) -> str:
    """The sums below the table."""
    shared = sum(r.Size for r in records if r.Shared)
    reclaimable = sum(r.Size for r in records if not r.InUse)
    total = sum(r.Size for r in records)
    rows = [("Shared", shared), ("Private", total - shared)] if shared else []
    rows += [("Reclaimable", reclaimable), ("Total", total)]
    return "\n".join(f"{key + ':':<16}{size(value)}" for key, value in rows)
