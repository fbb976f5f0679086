"""`croze history ls`: past builds and those that run."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from croze.api.attrs import of_attrs
from croze.builders.localstate import build_name
from croze.cli import interrupted
from croze.cli.flags import Flags, UsageError
from croze.cli.format import formatted, is_json, is_table
from croze.cli.history.repository import remote_url
from croze.cli.history.words import go_seconds
from croze.cli.nodes import ConnectedNode, connected
from croze.cli.table import age
from croze.client.records import history
from croze.gotypes import gojson
from croze.gotypes.moments import rfc3339
from croze.gotypes.template import Fields
from croze.progress.terminal.cells import printable

if TYPE_CHECKING:
    from croze.cli.common import Common

COMMAND = "croze history ls"
TABLE = "table {{.Ref}}\t{{.Name}}\t{{.Status}}\t{{.CreatedAt}}\t{{.Duration}}\t{{.Link}}"
HEADERS = {
    "Ref": "BUILD ID",
    "Name": "NAME",
    "Status": "STATUS",
    "CreatedAt": "CREATED AT",
    "Duration": "DURATION",
    "Link": "",
}
NAME_WIDTH = 36


class HistoryRow(Struct, frozen=True):
    """A record, the node that has it, and the node's clock."""

    record: history.Record
    node: ConnectedNode
    now_s: float

    @property
    def running(self) -> bool:
        return not self.record.HasField("CompletedAt")

    @property
    def name(self) -> str:
        attrs = of_attrs(self.record.FrontendAttrs)
        return build_name(attrs, self.node.local_state(self.record.Ref))

    @property
    def status(self) -> str:
        if self.running:
            return "Running"
        return "Error" if self.record.HasField("error") else "Completed"


def run(argv: Sequence[str], common: Common) -> int:
    flags = Flags(COMMAND, "List build records", "[OPTIONS]")
    flags.texts("--filter", help='Provide filter values (e.g., "status=error")')
    flags.text("--format", help="Format the output", default="table")
    flags.switch("--local", help="List records for current repository only")
    flags.switch("--no-trunc", help="Don't truncate output")
    flags.add_argument("extra", nargs="*", metavar="")
    args = flags.read(argv, common)
    if args.extra:
        raise UsageError(f"'{COMMAND}' accepts no arguments", COMMAND)
    filters = [f"repository={remote_url()}"] if args.local else []
    rows = interrupted.run(_ask(common, [*filters, *args.filter]))
    format = TABLE if args.format == "table" else args.format
    if is_json(format):
        text = "\n".join(gojson.marshal(_members(row)).decode() for row in rows)
    else:
        items = [_fields(row, format, args.no_trunc) for row in rows]
        text = formatted(format, items, HEADERS)
    if text:
        print(text)
    return 0


async def _ask(common: Common, filters: Sequence[str]) -> list[HistoryRow]:
    rows: list[HistoryRow] = []
    async with connected(common) as nodes:
        for node in nodes:
            listed = await history.records(node.client.channel, filters=filters)
            rows += [HistoryRow(record, node, listed.now_s) for record in listed.records]
    return sorted(rows, key=lambda row: (row.running, history.created_s(row.record)), reverse=True)


def _fields(row: HistoryRow, format: str, whole: bool) -> Fields:
    name = printable(row.name) if is_table(format) else row.name
    if is_table(format) and not whole and len(name) > NAME_WIDTH:
        name = ".." + name[-(NAME_WIDTH - 2) :]
    took = go_seconds(history.duration_s(row.record, row.now_s))
    return Fields(
        {
            "Ref": row.record.Ref,
            "FullRef": row.node.full_ref(row.record.Ref),
            "Name": name,
            "Status": row.status,
            "CreatedAt": age(time.time() - history.created_s(row.record)),
            "Duration": took + ("+" if row.running else ""),
            "Link": "" if is_table(format) else _link(row),
        },
        "*history.lsContext",
        _members(row),
    )


def _link(row: HistoryRow) -> str:
    return f"docker-desktop://dashboard/build/{row.node.full_ref(row.record.Ref)}"


def _members(row: HistoryRow) -> dict[str, object]:
    record = row.record
    completed = {} if row.running else {"completed_at": rfc3339(record.CompletedAt)}
    return {
        "cached_steps": record.numCachedSteps,
        **completed,
        "completed_steps": record.numCompletedSteps,
        "created_at": rfc3339(record.CreatedAt),
        "name": row.name,
        "ref": row.node.full_ref(record.Ref),
        "status": row.status,
        "total_steps": record.numTotalSteps,
    }
