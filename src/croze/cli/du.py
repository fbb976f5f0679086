"""`croze du`: what the cache takes on disk, as buildx shows it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from croze.cli.builder import add_timeout, timeout_s
from croze.cli.cache_filters import parse_filters
from croze.cli.daemon import with_clients
from croze.cli.flags import Flags, UsageError
from croze.cli.format import is_json, is_table, print_formatted
from croze.cli.table import age
from croze.errors import InvalidRequest
from croze.gotypes import gojson
from croze.gotypes.moments import utc_text
from croze.gotypes.sizes import human_size as size
from croze.gotypes.tabwriter import align_by_tabs
from croze.gotypes.template import Fields
from croze.gotypes.template.functions import in_order
from croze.gotypes.template.values import NilTexts, Texts

if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp

    from croze.cli.common import Common
    from croze.client.connect import Client, UsageRecord

COMMAND = "croze du"
TABLE = "table {{.ID}}\t{{.Reclaimable}}\t{{.Size}}\t{{.LastUsedAt}}"
PRETTY = """\
ID:           {{.ID}}
{{- if .Parents }}
Parents:
{{- range .Parents }}
 - {{.}}
{{- end }}
{{- end }}
Created at:   {{.CreatedAt}}
Mutable:      {{.Mutable}}
Reclaimable:  {{.Reclaimable}}
Shared:       {{.Shared}}
Size:         {{.Size}}
{{- if .Description}}
Description:  {{ .Description }}
{{- end }}
Usage count:  {{.UsageCount}}
{{- if .LastUsedAt}}
Last used:    {{ .LastUsedAt }}
{{- end }}
{{- if .Type}}
Type:         {{ .Type }}
{{- end }}
"""
HEADERS = {
    "ID": "ID",
    "Parents": "PARENTS",
    "CreatedAt": "CREATED AT",
    "Mutable": "MUTABLE",
    "Reclaimable": "RECLAIMABLE",
    "Shared": "SHARED",
    "Size": "SIZE",
    "Description": "DESCRIPTION",
    "UsageCount": "USAGE COUNT",
    "LastUsedAt": "LAST ACCESSED",
    "Type": "TYPE",
}


def run(argv: Sequence[str], common: Common) -> int:
    flags = Flags(COMMAND, "Disk usage", "[OPTIONS]")
    flags.texts("--filter", help="Provide filter values")
    flags.text("--format", help="Format the output")
    add_timeout(flags)
    flags.switch("--verbose", help='Shorthand for "--format=pretty"')
    flags.add_argument("extra", nargs="*", metavar="")
    args = flags.read(argv, common)
    if args.extra:
        raise UsageError(f"'{COMMAND}' accepts no arguments", COMMAND)
    format = chosen(args.format, verbose=args.verbose)
    filters = parse_filters(args.filter)

    async def ask(client: Client) -> list[UsageRecord]:
        return await client.disk_usage(filters.filters)

    limit_s = timeout_s(args.timeout, COMMAND)
    nodes = with_clients(common, ask, timeout_s=limit_s, doing="failed to call diskusage")
    records = [
        record
        for of_node in nodes
        for record in sorted(of_node, key=lambda record: (record.Size, record.ID))
    ]
    items = [fields(record, marked=is_table(format)) for record in records]
    if is_json(format):
        for item in items:
            print(gojson.marshal(in_order(item)).decode())
    else:
        print_formatted(format, items, HEADERS)
    if format in (TABLE, PRETTY) and not args.filter:
        print(totals(records))
    return 0


def chosen(format: str, *, verbose: bool) -> str:
    """The format to print in. Raises `InvalidRequest` if both `--format` and `--verbose` choose
    one."""
    if format and verbose:
        raise InvalidRequest("--format and --verbose cannot be used together")
    if format in ("", "table"):
        return PRETTY if verbose else TABLE
    return PRETTY if format == "pretty" else format


def fields(record: UsageRecord, *, marked: bool) -> Fields:
    """A record's fields for templates. `marked`: a star at what still changes, and at what is
    shared."""
    return Fields(
        {
            "ID": record.ID + ("*" if marked and record.Mutable else ""),
            "Parents": Texts(record.Parents) if record.Parents else NilTexts(),
            "CreatedAt": created(record),
            "Mutable": record.Mutable,
            "Reclaimable": not record.InUse,
            "Shared": record.Shared,
            "Size": size(record.Size) + ("*" if marked and record.Shared else ""),
            "Description": record.Description,
            "UsageCount": record.UsageCount,
            "LastUsedAt": last_used(record),
            "Type": record.RecordType,
        },
        "*commands.diskusageContext",
    )


def created(record: UsageRecord) -> str:
    return go_time(record.CreatedAt)


def go_time(stamp: Timestamp) -> str:
    """A time as Go prints it: `2026-01-31 12:00:00.123456789 +0000 UTC`."""
    return f"{utc_text(stamp.seconds, stamp.nanos, ' ')} +0000 UTC"


def last_used(record: UsageRecord) -> str:
    if not record.HasField("LastUsedAt"):
        return ""
    return age(time.time() - record.LastUsedAt.seconds)


def totals(records: Sequence[UsageRecord]) -> str:
    """The sums below the table."""
    shared = sum(r.Size for r in records if r.Shared)
    reclaimable = sum(r.Size for r in records if not r.InUse)
    total = sum(r.Size for r in records)
    rows = [("Shared", shared), ("Private", total - shared)] if shared else []
    rows += [("Reclaimable", reclaimable), ("Total", total)]
    return align_by_tabs("\n".join(f"{key}:\t{size(value)}" for key, value in rows))
