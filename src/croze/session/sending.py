"""The sending end of the file-transfer protocol (`session.transfer`)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice

from croze import errors
from croze.aio.parallel import first_error
from croze.aio.threads import in_thread
from croze.api import wire_pb2
from croze.gotypes.strings import from_bytes
from croze.session.messages import decode
from croze.session.transfer import (
    BATCH_ENTRIES,
    BATCH_FILES,
    DATA_BYTES,
    OnBytes,
    PacketMeter,
    ReadPackets,
    SentTree,
    WritePackets,
    pack,
    pack_error,
    to_stat,
)

END_WAIT_S = 2.0
"""For how long a receiver that says it was cancelled may take to end the call."""
_CANCELED = "context canceled"


async def send_tree(
    source: SentTree, read: ReadPackets, write: WritePackets, on_bytes: OnBytes | None = None
) -> None:
    """Send a tree; returns when the receiver has what it wants."""
    sending = _Sending(source, read, write, PacketMeter(on_bytes))
    try:
        await sending.run()
    finally:
        sending.meter.done()


class _Sending:
    def __init__(
        self, source: SentTree, read: ReadPackets, write: WritePackets, meter: PacketMeter
    ) -> None:
        self._source = source
        self._read = read
        self._write = write
        self._lock = asyncio.Lock()
        self._listed = self._asked = 0
        """How many entries the receiver knows of, or is about to, and how many it has asked for."""
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
            packets = [wire_pb2.Packet(stat=to_stat(e)).SerializeToString() for e in some]
            self._listed += len(packets)
            return packets

        try:
            while packets := await in_thread(batch):
                await self._send(*packets)
        except (OSError, errors.CrozeError) as error:
            await self._send(pack_error(error))
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
            await self._send(pack(kind, id, data))
            if ended:
                break
            data, ended = await in_thread(_joined, started.chunks)
        await self._send(pack(kind, id))

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
                self._ask(packet.ID)
            case wire_pb2.Packet.PACKET_ERR:
                reason = from_bytes(packet.data)
                if reason == _CANCELED:
                    await self._hear_end()
                raise errors.CrozeError(f"error from receiver: {reason}")
            case wire_pb2.Packet.PACKET_FIN:
                self._wanted.put_nowait(None)
                await self._send(pack(wire_pb2.Packet.PACKET_FIN))
                return True
        return False

    async def _hear_end(self) -> None:
        """What ends the call says why, if it comes soon: a receiver of Go's cancels its parts when
        one has failed, and any of them may be the first to tell. Raises that error."""
        with suppress(TimeoutError):
            async with asyncio.timeout(END_WAIT_S):
                while await self._read():
                    pass

    def _ask(self, id: int) -> None:
        """Each content is asked for once at most, when it was listed: there is no end to the others
        that a receiver may ask for. Those that may be are not bounded here: who does not listen
        while they wait has nobody who takes what it sends."""
        self._asked += 1
        if id >= self._listed or self._asked > self._listed:
            raise errors.InvalidRequest(f"invalid file id {id}")
        self._wanted.put_nowait(id)


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
