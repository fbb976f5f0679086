"""The records that a reference means, on whichever nodes have them.

Source: docker/buildx `commands/history/utils.go` (queryRecords).
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from croze.cli.nodes import ConnectedNode
from croze.client.records import history
from croze.errors import NotFound
from croze.gotypes.quote import quote


class FoundRecord(Struct, frozen=True):
    """A record, its node, and that node's clock."""

    record: history.Record
    node: ConnectedNode
    now_s: float


async def queried(
    nodes: Sequence[ConnectedNode], ref: str, *, completed: bool = False
) -> list[FoundRecord]:
    """What the nodes have, the newest first: of a reference, which may be whole
    (`builder/node/id`); `^2`, the last but two of all; or everything.

    Raises `NotFound` and `InvalidRequest`.
    """
    offset = history.offset_of(ref) if ref.startswith("^") else None
    records: list[FoundRecord] = []
    missing: NotFound | None = None
    for node in nodes:
        name = "" if offset is not None else ref.removeprefix(node.full_ref(""))
        try:
            listed = await history.records(node.client.channel, name, completed=completed)
        except NotFound as error:
            missing = error
        else:
            records += [FoundRecord(record, node, listed.now_s) for record in listed.records]
    if missing is not None and not records:
        raise missing
    records.sort(key=lambda one: history.created_s(one.record), reverse=True)
    if offset is None:
        return records
    if offset > len(records):
        raise NotFound(f"no completed build found with offset {offset - len(records)}")
    return records[max(offset, 0) :][:1]


async def found(
    nodes: Sequence[ConnectedNode], ref: str, *, completed: bool = False
) -> tuple[history.Record, ConnectedNode, float]:
    """The newest record of those that a reference means, with its node and that node's clock.
    Raises `NotFound` and `InvalidRequest`."""
    records = await queried(nodes, ref, completed=completed)
    if not records:
        raise NotFound(f"no record found for ref {quote(ref)}" if ref else "no records found")
    return records[0].record, records[0].node, records[0].now_s
