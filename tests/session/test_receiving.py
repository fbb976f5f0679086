"""Senders that don't know when to stop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from croze.api import wire_pb2
from croze.fs.sync.mirror import SyncResult
from croze.fs.sync.receive import Receiver
from croze.session.receiving import _Receiving
from croze.session.transfer import BUFFER_BYTES, PacketMeter, pack


class Slow(Receiver):
    """Takes its time at the end."""

    def __init__(self, dest: Path, begun: Callable[[], object], go: threading.Event) -> None:
        super().__init__(str(dest))
        self._begun = begun
        self._go = go

    def finish(self) -> SyncResult:
        self._begun()
        assert self._go.wait(30)
        return super().finish()


async def test_what_comes_after_the_end_is_not_kept(tmp_path: Path) -> None:
    """Neither while all is put in order nor afterwards, and however much it is."""
    junk = [pack(wire_pb2.Packet.PACKET_DATA, 7, bytes(BUFFER_BYTES // 4))] * 8
    loop, ending, ended, go = (
        asyncio.get_running_loop(), asyncio.Event(), asyncio.Event(), threading.Event(),
    )  # fmt: skip
    after = [ending, ended]

    async def read() -> Sequence[bytes]:
        if len(after) == 2 and not said:
            said.append(b"read")
            return [wire_pb2.Packet().SerializeToString()]
        if not after:
            return []
        await after.pop(0).wait()
        loop.call_soon(go.set)
        return junk

    said: list[bytes] = []

    async def write(*packets: bytes) -> None:
        said.extend(packets)
        ended.set()

    sink = Slow(tmp_path, lambda: loop.call_soon_threadsafe(ending.set), go)
    receiving = _Receiving(None, sink, read, write, PacketMeter(None))
    async with asyncio.timeout(10):
        await receiving.run()
    assert said == [b"read", pack(wire_pb2.Packet.PACKET_FIN)]
    assert not receiving._batch
