"""Receivers that ask for what there is not."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from croze.api import wire_pb2
from croze.errors import CrozeError, InvalidRequest
from croze.fs.sync.send import Sender
from croze.session import sending
from croze.session.sending import send_tree
from croze.session.transfer import pack
from tests.fs import trees
from tests.support.waiting import PATIENCE_S

REQ = wire_pb2.Packet.PACKET_REQ


@pytest.mark.parametrize("asked", [[0, 1, 2], [0] * 100_000, [7]])
async def test_no_more_is_asked_for_than_was_listed(tmp_path: Path, asked: list[int]) -> None:
    """There would be no end to it: what is asked for is noted until its turn comes, which a
    receiver that takes nothing can put off for ever."""
    tree = trees.make(tmp_path / "tree", {"a": "1", "b": "2"})
    listed, taking = asyncio.Event(), asyncio.Event()
    sent: list[bytes] = []

    async def read() -> Sequence[bytes]:
        await listed.wait()
        return [pack(REQ, id) for id in asked]

    async def write(*packets: bytes) -> None:
        sent.extend(packets)
        if b"" in packets:
            listed.set()
        elif listed.is_set():
            await taking.wait()

    with pytest.raises(InvalidRequest, match=f"invalid file id {asked[-1]}"):
        await send_tree(Sender(str(tree)), read, write)
    assert len(sent) <= 4


async def test_all_that_was_listed_may_be_asked_for(tmp_path: Path) -> None:
    """At once, and before anything of it is taken."""
    tree = trees.make(tmp_path / "tree", {f"{number:04}": str(number) for number in range(3000)})
    listed = asyncio.Event()
    contents: dict[int, bytes] = {}
    turns = [[pack(REQ, id) for id in range(3000)], [pack(wire_pb2.Packet.PACKET_FIN)]]

    async def read() -> Sequence[bytes]:
        await listed.wait()
        return turns.pop(0)

    async def write(*sent: bytes) -> None:
        for data in sent:
            packet = wire_pb2.Packet.FromString(data)
            if packet.type == wire_pb2.Packet.PACKET_DATA:
                contents[packet.ID] = contents.get(packet.ID, b"") + packet.data
            elif not packet.HasField("stat") and packet.type == wire_pb2.Packet.PACKET_STAT:
                listed.set()

    await send_tree(Sender(str(tree)), read, write)
    assert contents == {number: str(number).encode() for number in range(3000)}


ERR = wire_pb2.Packet.PACKET_ERR


@pytest.mark.parametrize("ends", [True, False])
async def test_why_a_receiver_was_cancelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends: bool
) -> None:
    """The call ends with what has failed, of which a part of the receiver has told nothing."""
    monkeypatch.setattr(sending, "END_WAIT_S", PATIENCE_S if ends else 0.0)
    tree = trees.make(tmp_path / "tree", {"a": "1"})
    said = [[wire_pb2.Packet(type=ERR, data=b"context canceled").SerializeToString()], [b""]]

    async def read() -> Sequence[bytes]:
        if said:
            return said.pop(0)
        if not ends:
            await asyncio.Event().wait()
        raise CrozeError("write a: no space left on device")

    async def write(*packets: bytes) -> None: ...

    reason = "^write a: no space" if ends else "^error from receiver: context canceled"
    with pytest.raises(CrozeError, match=reason):
        await send_tree(Sender(str(tree)), read, write)
