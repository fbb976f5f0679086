"""What a daemon's record says of how a build came to be."""

from __future__ import annotations

from pathlib import Path

from croze.client.records.provenance import recorded
from croze.rpc.channel import Channel


async def test_a_daemon_that_has_left_after_the_build(tmp_path: Path) -> None:
    async with Channel(f"unix:{tmp_path}/nobody") as channel:
        assert await recorded(channel, "ref") == []
