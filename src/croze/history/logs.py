"""A build's status as one blob: `StatusResponse` messages, each after its length in 4 bytes, little
endian. Source: BuildKit `solver/llbsolver/history` (`application/vnd.buildkit.status.v0`)."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from msgspec import Struct, field

from croze.api import control_pb2
from croze.errors import Corrupted

MEDIA_TYPE = "application/vnd.buildkit.status.v0"
_LENGTH = struct.Struct("<I")
_LARGEST_BYTES = 64 << 20


class StepCount(Struct):
    """What a list of builds shows of a build's steps."""

    _cached: dict[str, bool] = field(default_factory=dict)
    _completed: dict[str, bool] = field(default_factory=dict)
    warnings: int = 0

    def add(self, response: control_pb2.StatusResponse) -> None:
        """Count what a part of the status tells."""
        self.warnings += len(response.warnings)
        for vertex in response.vertexes:
            digest = vertex.digest
            self._cached[digest] = self._cached.get(digest, False) or vertex.cached
            completed = vertex.HasField("completed")
            self._completed[digest] = self._completed.get(digest, False) or completed

    def write_to(self, record: control_pb2.BuildHistoryRecord) -> None:
        """Fill in the record's numbers."""
        record.numCachedSteps = sum(self._cached.values())
        record.numCompletedSteps = sum(self._completed.values())
        record.numTotalSteps = len(self._completed)
        record.numWarnings = self.warnings


def packed(responses: Iterable[control_pb2.StatusResponse], count: StepCount) -> Iterator[bytes]:
    """The blob's bytes, a piece for each message; `count` has seen all in the end."""
    for response in responses:
        count.add(response)
        data = response.SerializeToString()
        yield _LENGTH.pack(len(data)) + data


def unpacked(file: BinaryIO) -> Iterator[control_pb2.StatusResponse]:
    """The messages of a blob. Raises `Corrupted` if it is cut short."""
    while header := file.read(_LENGTH.size):
        size = _LENGTH.unpack(header)[0] if len(header) == _LENGTH.size else _LARGEST_BYTES + 1
        data = file.read(size) if size <= _LARGEST_BYTES else b""
        if len(data) != size:
            raise Corrupted("the log of a build is cut short")
        yield control_pb2.StatusResponse.FromString(data)
