"""Senders that don't know when to stop."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from croze.api import stat_pb2, wire_pb2
from croze.errors import InvalidRequest, ResourceExhausted
from croze.fs.entry import MOST_XATTRS, Entry
from croze.fs.sync import listing_memory
from croze.fs.sync.mirror import SyncResult
from croze.fs.sync.receive import Receiver
from croze.session.receiving import _Receiving, content_of, receive_tree
from croze.session.transfer import BUFFER_BYTES, PacketMeter, pack, to_entry, to_stat
from tests.support.waiting import PATIENCE_S
from tests.support.work import calls_of


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
    async with asyncio.timeout(PATIENCE_S):
        await receiving.run()
    assert said == [b"read", pack(wire_pb2.Packet.PACKET_FIN)]
    assert not receiving._batch


async def test_a_list_that_does_not_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sender is told why nobody listens any more; nor is there a file of so many attributes."""
    allowance = listing_memory.MemoryAllowance(2 << 20)
    monkeypatch.setattr(listing_memory, "everybodys", lambda: allowance)
    numbers, said = itertools.count(), list[bytes]()

    async def read() -> Sequence[bytes]:
        await asyncio.sleep(0)
        entries = [Entry(f"{next(numbers):09}", 0o120777, linkname="x") for _ in range(100)]
        return [wire_pb2.Packet(stat=to_stat(each)).SerializeToString() for each in entries]

    async def write(*packets: bytes) -> None:
        said.extend(packets)

    message = "file lists that come now take more memory than 2 MiB"
    with pytest.raises(ResourceExhausted, match=message):
        await receive_tree(Receiver(str(tmp_path), merge=True), read, write)
    assert message.encode() in said[-1]
    assert allowance.used_bytes == 0
    many = [stat_pb2.Stat.Xattr(key=b"a")] * (MOST_XATTRS + 1)
    with pytest.raises(InvalidRequest, match="f has 65537 extended attributes"):
        to_entry(stat_pb2.Stat(path=b"f", xattrs=many))


async def nothing() -> Sequence[bytes]:
    return ()


async def ignored(*packets: bytes) -> None:
    pass


def test_contents_are_what_protobuf_reads() -> None:
    """Whatever is not written as senders write it is left to that, as is what is cut off."""
    sizes = (0, 1, 127, 128, 300, 16_383, 16_384, 40_000)
    ids = (0, 1, 24, 34, 127, 128, 16_383, 16_384, 2**21, 2**32 - 1)
    for size, id in itertools.product(sizes, ids):
        packet = pack(wire_pb2.Packet.PACKET_DATA, id, bytes(size))
        found = content_of(packet)
        assert found is not None
        assert (found[0], bytes(found[1])) == (id, bytes(size))
        for end in range(2, min(len(packet), 12)):
            cut = content_of(packet[:end])
            if cut is not None:
                read = wire_pb2.Packet.FromString(packet[:end])
                assert (cut[0], bytes(cut[1])) == (read.ID, read.data)
    assert content_of(pack(wire_pb2.Packet.PACKET_DATA, 7, b"x") + b"\x18\x01") is None
    assert content_of(pack(wire_pb2.Packet.PACKET_REQ, 7)) is None


def calls_for(files: int, folder: Path) -> int:
    """The functions that are called when so many small files are listed, and come."""
    folder.mkdir()
    sink = Receiver(f"{folder}/", state_file=f"{folder}.state", index_file=f"{folder}.index")
    receiving = _Receiving(None, sink, nothing, ignored, PacketMeter(None))
    entries = [Entry(f"f{number:04}", 0o100644, size=3000) for number in range(files)]
    listed = [wire_pb2.Packet(stat=to_stat(each)).SerializeToString() for each in entries]
    kind = wire_pb2.Packet.PACKET_DATA
    contents = [[pack(kind, number, bytes(3000)), pack(kind, number)] for number in range(files)]

    def work() -> None:
        receiving._apply(sink, [*listed, b""])
        receiving._apply(sink, [*itertools.chain(*contents)])
        sink.finish()

    return calls_of(work)


def test_what_a_small_file_costs(tmp_path: Path) -> None:
    """It is 117 calls of functions, Python's and C's, from its packets to the disk."""
    few, many = 100, 300
    each = (calls_for(many, tmp_path / "many") - calls_for(few, tmp_path / "few")) / (many - few)
    assert each < 120
