"""Header blocks are read as the library reads them, and what it refuses is refused."""

from __future__ import annotations

import random

import pytest
from hpack import Decoder, Encoder
from hpack.exceptions import HPACKError, OversizedHeaderListError

from croze.rpc.http2 import frames
from croze.rpc.http2.client import ClientConnection
from croze.rpc.http2.headers import HeaderDecoder
from tests.rpc.raw_frames import parsed

NAMES = [":path", "content-type", "x-docker-expose-session-grpc-method", "te", "a", "ünï"]
VALUES = ["", "application/grpc", "/moby.buildkit.v1.Control/Solve", "x" * 300, "y" * 4000, "é"]
MOST = 10_000


def read(decoder: HeaderDecoder | Decoder, block: bytes) -> object:
    """The headers, or that there are none."""
    try:
        return [(str(header[0]), str(header[1])) for header in decoder.decode(block)]
    except HPACKError:
        return HPACKError


@pytest.mark.parametrize("seed", range(20))
def test_blocks_of_a_connection(seed: int) -> None:
    chance = random.Random(seed)
    encoder, ours, theirs = Encoder(), HeaderDecoder(MOST), Decoder(MOST)
    for _ in range(40):
        if chance.random() < 0.1:
            encoder.header_table_size = chance.choice([0, 100, 4096])
        some = [(chance.choice(NAMES), chance.choice(VALUES)) for _ in range(chance.randrange(5))]
        block = encoder.encode(some, huffman=chance.random() < 0.8)
        wanted = read(theirs, block)
        assert read(ours, block) == wanted
        if wanted is HPACKError:
            return


@pytest.mark.parametrize("seed", range(40))
def test_what_is_no_block(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(50):
        encoder, ours, theirs = Encoder(), HeaderDecoder(MOST), Decoder(MOST)
        block = bytearray()
        for _ in range(3):
            block += encoder.encode([(chance.choice(NAMES), chance.choice(VALUES[:4]))])
        for _ in range(chance.randrange(4)):
            block[chance.randrange(len(block))] = chance.randrange(256)
        cut = bytes(block[: chance.randrange(len(block) + 1)])
        assert read(ours, cut) == read(theirs, cut)


@pytest.mark.parametrize(
    "block",
    [
        b"\x80",  # index 0
        b"\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        b"\x7f",
        b"\x00\x05ab",
        b"\x00\x01a\x81\xff",  # Huffman that does not end
        b"\x3f\xe2\x1f",  # a table of 4097 bytes
        b"\x82\x20",
        b"\x00\x01\xff\x01a",
    ],
)
def test_what_is_refused(block: bytes) -> None:
    with pytest.raises(HPACKError):
        HeaderDecoder(MOST).decode(block)


def test_lists_that_are_too_large() -> None:
    entry = Encoder().encode([("a", "b" * 1000)])
    decoder = HeaderDecoder(MOST)
    decoder.decode(entry)
    with pytest.raises(OversizedHeaderListError):
        decoder.decode(b"\xbe" * 10)  # the newest of the table, over and over


def test_a_peer_with_a_smaller_table_hears_that_none_is_used() -> None:
    """As many want to, before they read anything more."""
    http, decoder, headers = ClientConnection(), Decoder(MOST), [("a", "b"), ("c", "d")]
    for table in (4096, 100, 0):
        decoder.max_allowed_table_size = table
        http.receive(frames.settings({frames.HEADER_TABLE_SIZE: table}))
        for _ in range(2):
            http.open(headers)
            blocks = [
                payload for kind, _, _, payload in parsed(http.outgoing()) if kind == frames.HEADERS
            ]
            assert [read(decoder, block) for block in blocks] == [headers]
