"""The file-transfer protocol (fsutil `send.go`, `receive.go`): packets over any stream.

The sender walks its tree and sends a STAT per entry, an empty one at the end. The receiver asks
(REQ) for the contents it needs, by the entry's index; they come as DATA, an empty one at the end of
each. When the receiver has all it says FIN, and the sender says FIN back. ERR ends it from either
side.

Trees have tens of thousands of entries and a call into gRPC or into a thread costs more than the
work on one: both sides work in batches, on a thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from itertools import islice
from typing import Generic, Protocol, TypeVar

from croze import errors
from croze.aio.parallel import first_error
from croze.aio.threads import in_thread
from croze.api import stat_pb2, wire_pb2
from croze.fs.entry import EMPTY_XATTRS, Entry, go_mode, unix_mode
from croze.gotypes.strings import from_bytes, to_bytes
from croze.session.messages import decode

BATCH_ENTRIES = 256
BATCH_FILES = 64
GATHER_S = 0.005
DATA_BYTES = 256 * 1024
BUFFER_BYTES = 16 << 20
"""How much a receiver takes in before what it has is on disk."""

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

ReadPackets = Callable[[], Awaitable[Sequence[bytes]]]
"""The packets that have come, serialised, at least one; none at the end of the stream."""


class WritePackets(Protocol):
    """Takes packets, serialised; waits while the other side does not."""

    def __call__(self, *packets: bytes) -> Awaitable[None]: ...


OnBytes = Callable[[int, bool], None]
"""Bytes so far, and whether these are all."""


class SentTree(Protocol):
    """A tree to send, such as `fs.sync.send.Sender`. Called from threads, never by two at once
    for the same method."""

    def entries(self) -> Iterator[Entry]:
        """In the protocol's order."""

    def chunks(self, id: int) -> Iterator[bytes]:
        """The content of the entry with this index."""


class Sink(Protocol[T_co]):
    """A tree to receive into, as `fs.sync.receive.Receiver`. Called from one thread at a time."""

    def same_again(self, packets: Sequence[bytes]) -> int:
        """How many of these packets, from the first, came at this very place the last time: they
        need no look. Takes no time, on whatever thread; once there was another packet, the others
        are for `recall`."""

    @property
    def is_same(self) -> bool:
        """There was nothing but all that came the last time: to `finish` takes no time either."""

    def recall(self, packets: Sequence[bytes], start: int) -> int:
        """How many packets from `start` on need no look: they tell of what has not changed."""

    def stat(self, entry: Entry, packet: bytes) -> int | None:
        """An entry, in order, told by `packet`; answers with its id if its content is wanted."""

    def data(self, id: int, data: bytes) -> None: ...

    def end(self, id: int) -> None: ...

    def finish(self) -> T_co: ...

    def abort(self) -> None: ...


def to_stat(entry: Entry) -> stat_pb2.Stat:
    return stat_pb2.Stat(
        path=to_bytes(entry.path),
        mode=go_mode(entry.mode),
        uid=entry.uid,
        gid=entry.gid,
        size=entry.size,
        modTime=entry.mtime_ns,
        linkname=to_bytes(entry.linkname),
        devmajor=entry.devmajor,
        devminor=entry.devminor,
        xattrs=[
            stat_pb2.Stat.Xattr(key=to_bytes(k), value=v) for k, v in sorted(entry.xattrs.items())
        ],
    )


def to_entry(stat: stat_pb2.Stat) -> Entry:
    return Entry(
        from_bytes(stat.path),
        unix_mode(stat.mode),
        stat.uid,
        stat.gid,
        stat.size,
        stat.modTime,
        from_bytes(stat.linkname),
        stat.devmajor,
        stat.devminor,
        {from_bytes(x.key): x.value for x in stat.xattrs} if stat.xattrs else EMPTY_XATTRS,
    )


class _Meter:
    """Counts the packets' bytes for a progress callback."""

    def __init__(self, report: OnBytes | None) -> None:
        self._report = report
        self._total = 0

    def add(self, packets: Sequence[bytes]) -> None:
        if self._report is not None:
            self._total += sum(map(len, packets))
            self._report(self._total, False)

    def done(self) -> None:
        if self._report is not None:
            self._report(self._total, True)


# -- sending ---------------------------------------------------------------------------------


async def send_tree(
    source: SentTree, read: ReadPackets, write: WritePackets, on_bytes: OnBytes | None = None
) -> None:
    """Send a tree; returns when the receiver has what it wants."""
    sending = _Sending(source, read, write, _Meter(on_bytes))
    try:
        await sending.run()
    finally:
        sending.meter.done()


class _Sending:
    def __init__(
        self, source: SentTree, read: ReadPackets, write: WritePackets, meter: _Meter
    ) -> None:
        self._source = source
        self._read = read
        self._write = write
        self._lock = asyncio.Lock()
        self._wanted: asyncio.Queue[int | None] = asyncio.Queue()
        self.meter = meter

    async def run(self) -> None:
        async with first_error(), asyncio.TaskGroup() as group:
            group.create_task(self._stats())
            group.create_task(self._contents())
            await self._listen()

    async def _send(self, *packets: bytes) -> None:
        async with self._lock:
            await self._write(*packets)
        self.meter.add(packets)

    async def _stats(self) -> None:
        entries = self._source.entries()

        def batch() -> list[bytes]:
            some = islice(entries, BATCH_ENTRIES)
            return [wire_pb2.Packet(stat=to_stat(e)).SerializeToString() for e in some]

        try:
            while packets := await in_thread(batch):
                await self._send(*packets)
        except (OSError, errors.CrozeError) as error:
            await self._send(_error_packet(error))
            raise
        await self._send(b"")

    async def _contents(self) -> None:
        """Small files are read many at a time, others piece by piece."""
        while True:
            ids = [await self._wanted.get()]
            while not self._wanted.empty() and len(ids) < BATCH_FILES:
                ids.append(self._wanted.get_nowait())
            numbers = [id for id in ids if id is not None]
            for id, start in await in_thread(self._first_pieces, numbers):
                await self._content(id, start)
            if None in ids:
                return

    def _first_pieces(self, ids: list[int]) -> list[tuple[int, _Started]]:
        return [(id, _Started(self._source.chunks(id))) for id in ids]

    async def _content(self, id: int, started: _Started) -> None:
        kind = wire_pb2.Packet.PACKET_DATA
        data, ended = started.data, started.ended
        while data:
            await self._send(_packet(kind, id, data))
            if ended:
                break
            data, ended = await in_thread(_joined, started.chunks)
        await self._send(_packet(kind, id))

    async def _listen(self) -> None:
        while packets := await self._read():
            for data in packets:
                if await self._heard(decode(wire_pb2.Packet, data)):
                    return
        raise errors.Unavailable("the receiver went away")

    async def _heard(self, packet: wire_pb2.Packet) -> bool:
        """Whether it was the last."""
        match packet.type:
            case wire_pb2.Packet.PACKET_REQ:
                self._wanted.put_nowait(packet.ID)
            case wire_pb2.Packet.PACKET_ERR:
                raise errors.CrozeError(f"error from receiver: {from_bytes(packet.data)}")
            case wire_pb2.Packet.PACKET_FIN:
                self._wanted.put_nowait(None)
                await self._send(_packet(wire_pb2.Packet.PACKET_FIN))
                return True
        return False


class _Started:
    """A content that is being read, with its first piece."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self.chunks = chunks
        self.data, self.ended = _joined(chunks)


def _joined(chunks: Iterator[bytes]) -> tuple[bytes, bool]:
    """The next chunks as one piece of at least `DATA_BYTES`, and whether it is the last. A file
    that can't be read any more ends where it does."""
    pieces: list[bytes] = []
    total = 0
    try:
        for chunk in chunks:
            pieces.append(chunk)
            total += len(chunk)
            if total >= DATA_BYTES:
                return b"".join(pieces), False
    except FileNotFoundError:
        pass
    return pieces[0] if len(pieces) == 1 else b"".join(pieces), True


def _packet(kind: wire_pb2.Packet.PacketType.ValueType, id: int = 0, data: bytes = b"") -> bytes:
    return wire_pb2.Packet(type=kind, ID=id, data=data).SerializeToString()


def _error_packet(error: Exception) -> bytes:
    return _packet(wire_pb2.Packet.PACKET_ERR, data=to_bytes(str(error)))


# -- receiving -------------------------------------------------------------------------------


async def receive_tree(
    sink: Sink[T], read: ReadPackets, write: WritePackets, on_bytes: OnBytes | None = None
) -> T:
    """Receive a tree; returns what `sink.finish` does. The sink is aborted on any error."""
    receiving = _Receiving(sink, read, write, _Meter(on_bytes))
    try:
        return await receiving.run()
    except BaseException:
        await in_thread(sink.abort)
        raise
    finally:
        receiving.meter.done()


class _Receiving(Generic[T]):
    """One task reads packets; the other has them worked off, in batches, on a thread.

    The reader is never cancelled while all goes well: a read that is cancelled ends the call.
    """

    def __init__(
        self, sink: Sink[T], read: ReadPackets, write: WritePackets, meter: _Meter
    ) -> None:
        self._sink = sink
        self._read = read
        self._write = write
        self._batch: list[bytes] = []
        self._batch_bytes = 0
        self._taken = 0
        self._filled = asyncio.Event()
        self._emptied = asyncio.Event()
        self._open: set[int] = set()
        self._is_steady = True
        """All that has come is what came the last time."""
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
            is_same = self._sink.is_same
            result = self._sink.finish() if is_same else await in_thread(self._sink.finish)
        except (OSError, errors.CrozeError) as error:
            if not self._peer_failed:
                await self._write(_error_packet(error))
            raise
        self._finished = True
        await self._write(_packet(wire_pb2.Packet.PACKET_FIN))
        return result

    async def _take_in(self) -> None:
        while packets := await self._read():
            self.meter.add(packets)
            if self._is_steady:
                packets = packets[self._sink.same_again(packets) :]
                if not packets:
                    continue
                self._is_steady = False
                if self._sink.is_same and list(packets) == [b""]:
                    self._all_stats = True
                    self._filled.set()
                    continue
            self._batch += packets
            self._taken += len(packets)
            self._batch_bytes += sum(map(len, packets)) + 100 * len(packets)
            self._filled.set()
            if self._batch_bytes > BUFFER_BYTES and not self._finished:
                self._emptied.clear()
                await self._emptied.wait()
        if not self._finished:
            raise errors.Unavailable("the sender went away")

    async def _work_off(self) -> None:
        while not self._all_stats or self._open:
            await self._filled.wait()
            if self._all_stats and not self._batch and not self._open:
                return
            if self._taken > BATCH_ENTRIES and self._batch_bytes < BUFFER_BYTES:
                await asyncio.sleep(GATHER_S)  # a large transfer: a few packets more at a time
            self._filled.clear()
            batch, self._batch, self._batch_bytes = self._batch, [], 0
            self._emptied.set()
            numbers = await in_thread(self._apply, batch)
            if numbers:
                await self._write(*(_packet(wire_pb2.Packet.PACKET_REQ, id) for id in numbers))

    def _apply(self, batch: list[bytes]) -> list[int]:
        """Work a batch off; the indexes of contents to ask for."""
        numbers: list[int] = []
        at = 0
        while at < len(batch):
            if not self._all_stats:
                at += self._sink.recall(batch, at)
                if at == len(batch):
                    break
            data = batch[at]
            at += 1
            packet = decode(wire_pb2.Packet, data)
            match packet.type:
                case wire_pb2.Packet.PACKET_STAT:
                    self._on_stat(packet, data, numbers)
                case wire_pb2.Packet.PACKET_DATA:
                    self._on_data(packet)
                case wire_pb2.Packet.PACKET_ERR:
                    self._peer_failed = True
                    message = from_bytes(packet.data)
                    raise errors.CrozeError(f"error from sender: {message}")
        return numbers

    def _on_stat(self, packet: wire_pb2.Packet, data: bytes, numbers: list[int]) -> None:
        if not packet.HasField("stat"):
            self._all_stats = True
            return
        id = self._sink.stat(to_entry(packet.stat), data)
        if id is not None:
            self._open.add(id)
            numbers.append(id)

    def _on_data(self, packet: wire_pb2.Packet) -> None:
        if packet.ID not in self._open:
            raise errors.CrozeError(f"invalid file request {packet.ID}")
        if packet.data:
            self._sink.data(packet.ID, packet.data)
        else:
            self._sink.end(packet.ID)
            self._open.discard(packet.ID)
