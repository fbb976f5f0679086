"""The record that a reference means, on whichever node has it."""

from __future__ import annotations

from collections.abc import Sequence

from croze.cli.nodes import Node
from croze.client import history
from croze.errors import NotFound


async def found(nodes: Sequence[Node], ref: str) -> tuple[history.Record, Node, float]:
    """The newest of the nodes' answers, its node, and that node's clock. `ref` may be whole
    (`builder/node/id`). Raises `NotFound`."""
    candidates: list[tuple[history.Record, Node, float]] = []
    missing: NotFound | None = None
    for node in nodes:
        name = ref.removeprefix(node.full_ref(""))
        try:
            record, now_s = await history.one(node.client.channel, name)
        except NotFound as error:
            missing = error
        else:
            candidates.append((record, node, now_s))
    if candidates:
        return max(candidates, key=lambda found: history.created_s(found[0]))
    raise missing or NotFound("no records found")
