"""Bytes in their messages."""

from __future__ import annotations

import random

import pytest
from google.protobuf.message import DecodeError

from croze.api import control_pb2
from croze.session.messages import all_carried, bytes_head, carried

parse = control_pb2.BytesMessage.FromString


def test_what_messages_carry_is_what_protobuf_reads() -> None:
    chance = random.Random(1)
    messages = [b""]
    for size in (0, 1, 2, 126, 127, 128, 129, 300, 16_383, 16_384, 40_000):
        data = chance.randbytes(size)
        plain = control_pb2.BytesMessage(data=data).SerializeToString()
        messages.append(plain)
        if size:
            assert plain == bytes_head(size) + data
        messages.append(plain + b"\x10\x01")  # a field that nobody knows
        messages.append(b"\x10\x01" + plain)
    messages.append(b"\x0a\x83\x00abc")  # a length of more bytes than it takes
    messages.append(b"\x0a\x01a\x0a\x02bc")  # the last one counts
    for message in messages:
        assert (
            all_carried([message], parse) == parse(message).data == bytes(carried(message, parse))
        )
    assert all_carried(messages, parse) == b"".join(parse(each).data for each in messages)


@pytest.mark.parametrize("message", [b"\x0a", b"\x0a\x05ab", b"\x0a\x80", b"\x0a\x80\x80\x80\x80"])
def test_what_is_cut_off_is_refused(message: bytes) -> None:
    with pytest.raises(DecodeError):
        all_carried([message], parse)
