"""The receiving end of the file-transfer protocol (`session.transfer`)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Generic, TypeVar

from croze import errors
from croze.aio.parallel import first_error
from croze.aio.threads import in_thread
from croze.api import wire_pb2
from croze.gotypes.strings import from_bytes
from croze.session.messages import decode, varint
from croze.session.transfer import (
    BATCH_ENTRIES,
    BUFFER_BYTES,
    GATHER_BYTES,
    GATHER_S,
    Expected,
    OnBytes,
    PacketMeter,
    ReadPackets,
    Sink,
    WritePackets,
    pack,
    pack_error,
    pack_requests,
    to_entry,
)

T = TypeVar("T")


async def receive_tree(
    sink: Sink[T], read: ReadPackets, write: WritePackets, on_bytes: OnBytes | None = None
) -> T:
    """Receive a tree; returns what `sink.finish` does. The sink is aborted on any error."""
    return await _received(_Receiving(None, sink, read, write, PacketMeter(on_bytes)))


async def receive_expected(
    expected: Expected[T], read: ReadPackets, write: WritePackets, on_bytes: OnBytes | None = None
) -> T:
    """Receive a tree that may well be as `expected`: then nothing is done for it. Returns what
    `expected`, or its sink, makes of it."""
    return await _received(_Receiving(expected, None, read, write, PacketMeter(on_bytes)))


async def _received(receiving: _Receiving[T]) -> T:
    try:
        return await receiving.run()
    except BaseException:
        if receiving.sink is not None:
            await in_thread(receiving.sink.abort)
        raise
    finally:
        receiving.meter.done()


class _Receiving(Generic[T]):
    """One task reads packets; the other has them worked off, in batches, on a thread.

    The reader is never cancelled while all goes well: a read that is cancelled ends the call.
    """

    def __init__(
        self,
        expected: Expected[T] | None,
        sink: Sink[T] | None,
        read: ReadPackets,
        write: WritePackets,
        meter: PacketMeter,
    ) -> None:
        """Either is given."""
        self._expected = expected
        """What comes, as long as all is as expected."""
        self.sink = sink
        """Where it goes, once it is not."""
        self._read = read
        self._write = write
        self._batch: list[bytes] = []
        self._batch_bytes = 0
        self._taken = 0
        self._filled = asyncio.Event()
        self._emptied = asyncio.Event()
        self._open: set[int] = set()
        self._asked: set[int] = set()
        self._all_stats = False
        self._finished = False
        self._peer_failed = False
        self.meter = meter

    async def run(self) -> T:
        async with first_error(), asyncio.TaskGroup() as group:
            group.create_task(self._take_in())
            received = await self._receive()
        return received

    async def _receive(self) -> T:
        try:
            await self._work_off()
            result = await self._result()
        except (OSError, errors.CrozeError) as error:
            if not self._peer_failed:
                await self._write(pack_error(error))
            raise
        self._finish()
        await self._write(pack(wire_pb2.Packet.PACKET_FIN))
        return result

    def _finish(self) -> None:
        """Nothing that comes from here on is kept: the sender may go on for ever."""
        self._finished = True
        self._batch.clear()
        self._emptied.set()

    async def _result(self) -> T:
        if self.sink is not None:
            return await in_thread(self.sink.finish)
        assert self._expected is not None
        return self._expected.result()

    async def _take_in(self) -> None:
        expected = self._expected
        while packets := await self._read():
            if self._finished:
                continue
            self.meter.add(packets)
            if expected is not None:
                packets = packets[expected.same_again(packets) :]
                await self._ask_for(expected.wanted())
                if packets or expected.is_same:
                    expected = None
                if not packets:
                    if expected is None:
                        self._all_stats = True
                        self._filled.set()
                    continue
            self._batch += packets
            self._taken += len(packets)
            self._batch_bytes += sum(map(len, packets)) + 100 * len(packets)
            self._filled.set()
            if self._batch_bytes > BUFFER_BYTES:
                self._emptied.clear()
                await self._emptied.wait()
        if not self._finished:
            raise errors.Unavailable("the sender went away")

    async def _ask_for(self, numbers: Sequence[int]) -> None:
        if numbers:
            self._asked.update(numbers)
            await self._write(*pack_requests(numbers))

    async def _work_off(self) -> None:
        while not self._all_stats or self._open:
            await self._filled.wait()
            if self._all_stats and not self._batch and not self._open:
                return
            if self._taken > BATCH_ENTRIES and self._batch_bytes < GATHER_BYTES:
                await asyncio.sleep(GATHER_S)  # a large transfer: a few packets more at a time
            replayed: Sequence[bytes] = ()
            if self.sink is None:
                assert self._expected is not None
                self.sink, replayed = await self._expected.differs()
            self._filled.clear()
            batch, self._batch, self._batch_bytes = [*replayed, *self._batch], [], 0
            self._emptied.set()
            await self._ask_for(await in_thread(self._apply, self.sink, batch))

    def _apply(self, sink: Sink[T], batch: list[bytes]) -> list[int]:
        """Work a batch off; the indexes of contents to ask for."""
        numbers: list[int] = []
        at, end = 0, len(batch)
        while at < end:
            if not self._all_stats:
                at += sink.recall(batch, at)
                if at == end:
                    break
            data = batch[at]
            at += 1
            if data.startswith(_DATA_TYPE) and (content := content_of(data)) is not None:
                self._on_content(sink, *content)
                continue
            packet = decode(wire_pb2.Packet, data)
            if (kind := packet.type) == _STAT:
                self._on_stat(sink, packet, data, numbers)
            elif kind == _CONTENT:
                self._on_content(sink, packet.ID, memoryview(packet.data))
            elif kind == _ERROR:
                self._peer_failed = True
                message = from_bytes(packet.data)
                raise errors.CrozeError(f"error from sender: {message}")
        return numbers

    def _on_stat(
        self, sink: Sink[T], packet: wire_pb2.Packet, data: bytes, numbers: list[int]
    ) -> None:
        if not packet.HasField("stat"):
            self._all_stats = True
            return
        id = sink.stat(to_entry(packet.stat), data)
        if id is not None:
            self._open.add(id)
            if id not in self._asked:
                numbers.append(id)

    def _on_content(self, sink: Sink[T], id: int, piece: bytes | memoryview) -> None:
        """A piece of a content, or its end, which is an empty one."""
        if id not in self._open:
            raise errors.CrozeError(f"invalid file request {id}")
        if piece:
            sink.data(id, piece)
        else:
            sink.end(id)
            self._open.discard(id)


_STAT, _CONTENT = wire_pb2.Packet.PACKET_STAT, wire_pb2.Packet.PACKET_DATA
_ERROR = wire_pb2.Packet.PACKET_ERR
_DATA_TYPE, _ID, _DATA = b"\x08\x02", 0x18, 0x22
"""What is in a packet (protobuf's encoding): that it is DATA, and the tags of index and content."""


def content_of(packet: bytes) -> tuple[int, bytes | memoryview] | None:
    """The entry's index and the content of a DATA packet that has its fields in order, as senders
    write them; None for any other packet. There is one for each 32 KiB: it is not copied."""
    if not packet.startswith(_DATA_TYPE):
        return None
    id, at, end = 0, len(_DATA_TYPE), len(packet)
    if at < end and packet[at] == _ID:
        id, at = varint(packet, at + 1)
    if at == end:
        return id, b""
    if at > end or packet[at] != _DATA:
        return None
    size, at = varint(packet, at + 1)
    return (id, memoryview(packet)[at:]) if at + size == end else None
