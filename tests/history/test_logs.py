"""Logs as blobs."""

from __future__ import annotations

import io
import struct

import pytest

from croze.api import control_pb2
from croze.errors import Corrupted
from croze.history.logs import StepCount, packed, unpacked


def responses() -> list[control_pb2.StatusResponse]:
    one, two = control_pb2.StatusResponse(), control_pb2.StatusResponse()
    one.vertexes.add(digest="a", cached=True).started.seconds = 1
    one.vertexes.add(digest="b")
    two.vertexes.add(digest="a").completed.seconds = 2
    two.logs.add(vertex="b", msg=b"hello")
    two.warnings.add(vertex="b", short=b"careful")
    return [one, two]


def test_there_and_back() -> None:
    count = StepCount()
    pieces = list(packed(responses(), count))
    assert struct.unpack("<I", pieces[0][:4]) == (len(pieces[0]) - 4,)
    assert list(unpacked(io.BytesIO(b"".join(pieces)))) == responses()
    record = control_pb2.BuildHistoryRecord()
    count.write_to(record)
    numbers = (record.numCachedSteps, record.numCompletedSteps, record.numTotalSteps)
    assert (*numbers, record.numWarnings) == (1, 1, 2, 1)


@pytest.mark.parametrize("cut", [1, 3, 5])
def test_cut_short(cut: int) -> None:
    data = b"".join(packed(responses(), StepCount()))
    with pytest.raises(Corrupted):
        list(unpacked(io.BytesIO(data[:cut])))
    with pytest.raises(Corrupted):
        list(unpacked(io.BytesIO(data[:-cut])))
