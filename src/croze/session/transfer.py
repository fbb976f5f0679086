"""The file-transfer protocol (fsutil `send.go`, `receive.go`): packets over any stream.

The sender walks its tree and sends a STAT per entry, an empty one at the end. The receiver asks
(REQ) for the contents it needs, by the entry's index; they come as DATA, an empty one at the end of
each. When the receiver has all it says FIN, and the sender says FIN back. ERR ends it from either
side.

Trees have tens of thousands of entries and a call into gRPC or into a thread costs more than the
work on one: both sides (`sending`, `receiving`) work in batches, on a thread.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Final, Protocol, TypeVar

from croze import errors
from croze.api import stat_pb2, wire_pb2
from croze.errors import InvalidRequest
from croze.fs.entry import EMPTY_XATTRS, MOST_XATTRS, Entry, go_mode, go_time, unix_mode
from croze.gotypes.strings import from_bytes, to_bytes
from croze.session.messages import encoded

BATCH_ENTRIES = 256
BATCH_FILES = 64
GATHER_S = 0.005
GATHER_BYTES = 512 * 1024
"""With so much to do, nobody waits for more."""
DATA_BYTES = 256 * 1024
BUFFER_BYTES = 16 << 20
"""How much a receiver takes in before what it has is on disk."""

T_co = TypeVar("T_co", covariant=True)

ReadPackets = Callable[[], Awaitable[Sequence[bytes]]]
"""The packets that have come, serialised, at least one; none at the end of the stream."""


class WritePackets(Protocol):
    """Takes packets, serialised; waits while the other side does not."""

    def __call__(self, *packets: bytes) -> Awaitable[None]:
        """Send packets in this order."""


OnBytes = Callable[[int, bool], None]
"""Bytes so far, and whether these are all."""


class SentTree(Protocol):
    """A tree to send, such as `fs.sync.send.Sender`. Called from threads, never by two at once
    for the same method."""

    def entries(self) -> Iterator[Entry]:
        """The entries, in the protocol's order."""

    def chunks(self, id: int) -> Iterator[bytes]:
        """The content of the entry with this index."""


class Sink(Protocol[T_co]):
    """A tree to receive into, as `fs.sync.receive.Receiver`. Called from one thread at a time."""

    def recall(self, packets: Sequence[bytes], start: int) -> int:
        """How many packets from `start` on need no look: they tell of what has not changed."""

    def stat(self, entry: Entry, packet: bytes) -> int | None:
        """An entry, in order, told by `packet`; answers with its id if its content is wanted."""

    def data(self, id: int, data: bytes | memoryview) -> None:
        """A piece of the content of the entry with this id. Raises `InvalidRequest` if it was not
        asked for."""

    def end(self, id: int) -> None:
        """Note that the content of the entry with this id is complete."""

    def finish(self) -> T_co:
        """Complete the tree after the last entry and the last content. Raises `InvalidRequest` if
        content is missing."""

    def abort(self) -> None:
        """Close what is open; the tree stays incomplete."""


class Expected(Protocol[T_co]):
    """A tree that is likely to come, since it came before. As long as its packets do come, nothing
    is done for them, and no thread is needed: what is asked here takes no time."""

    def same_again(self, packets: Sequence[bytes]) -> int:
        """How many of these packets, from the first, are what was expected at this very place."""

    def wanted(self) -> Sequence[int]:
        """The indexes of contents that are to be asked for now, before it is the same."""

    @property
    def is_same(self) -> bool:
        """Whether exactly what was expected has come, to its end."""

    def result(self) -> T_co:
        """What a tree that is the same comes to."""

    async def differs(self) -> tuple[Sink[T_co], Sequence[bytes]]:
        """Something else has come: where all goes from here on, and which of the packets that were
        as expected it has to be told, too. It is told nothing of what was `wanted`, but gets it."""


def to_stat(entry: Entry) -> stat_pb2.Stat:
    """An entry as fsutil's `Stat` message: the mode is Go's (`os.FileMode`), xattrs are sorted."""
    return stat_pb2.Stat(
        path=to_bytes(entry.path),
        mode=go_mode(entry.mode),
        uid=entry.uid,
        gid=entry.gid,
        size=entry.size,
        modTime=go_time(entry.mtime_ns),
        linkname=to_bytes(entry.linkname),
        devmajor=entry.devmajor,
        devminor=entry.devminor,
        xattrs=[
            stat_pb2.Stat.Xattr(key=to_bytes(k), value=v) for k, v in sorted(entry.xattrs.items())
        ],
    )


def to_entry(stat: stat_pb2.Stat) -> Entry:
    """Read an entry. Raises `InvalidRequest` for more extended attributes than a file can have."""
    if len(stat.xattrs) > MOST_XATTRS:
        raise InvalidRequest(
            f"{from_bytes(stat.path)} has {len(stat.xattrs)} extended attributes:"
            f" no file has more than {MOST_XATTRS}"
        )
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


class PacketMeter:
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


def pack(kind: wire_pb2.Packet.PacketType.ValueType, id: int = 0, data: bytes = b"") -> bytes:
    """A packet, serialised."""
    return wire_pb2.Packet(type=kind, ID=id, data=data).SerializeToString()


def pack_requests(ids: Iterable[int]) -> list[bytes]:
    """The packets that ask for the contents of these entries: one for each file of a tree."""
    return [_REQUEST + encoded(id) if id else _FIRST_REQUEST for id in ids]


_FIRST_REQUEST: Final = pack(wire_pb2.Packet.PACKET_REQ)
_REQUEST: Final = _FIRST_REQUEST + b"\x18"
"""What is in front of an index (protobuf's encoding): the type, and the tag of the index."""


def pack_error(error: Exception) -> bytes:
    """The packet that ends a transfer with an error."""
    return pack(wire_pb2.Packet.PACKET_ERR, data=to_bytes(str(errors.as_own(error))))
