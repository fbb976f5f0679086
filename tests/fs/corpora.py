"""What layers are made of, in small: the same every time."""

from __future__ import annotations

import functools
import random
from itertools import accumulate

SIZE = 1 << 20


@functools.cache
def text() -> bytes:
    """Words, the same every time: some often, most seldom, as in what people write."""
    chance = random.Random(1)
    letters = "etaoinshrdlucmfwypvbgkjqxz"
    words = [
        "".join(chance.choices(letters, k=chance.randint(2, 9))).encode() for _ in range(5_000)
    ]
    often = [*accumulate(1 / (rank + 1) for rank in range(len(words)))]
    lines = b"\n".join(
        b" ".join(chance.choices(words, cum_weights=often, k=12)) for _ in range(20_000)
    )
    return lines[:SIZE]


def random_bytes() -> bytes:
    return random.Random(2).randbytes(SIZE)


@functools.cache
def long_text() -> bytes:
    """Five times as much, in other letters each time."""
    shifted = (bytes((byte + shift) % 256 for byte in range(256)) for shift in range(5))
    return b"".join(map(text().translate, shifted))


def long_text_twice() -> bytes:
    """What is there again is further away than a thread's piece reaches."""
    return long_text() * 2


def long_random() -> bytes:
    return b"".join(random.Random(seed).randbytes(SIZE) for seed in range(5))


def archive() -> bytes:
    """Compressed files of some kilobytes with their names before them, and an index."""
    chance = random.Random(3)
    names = [f"package/module{n % 7}/file_{n:05}.py".encode() for n in range(300)]
    heads = [b"PK\x03\x04\x14\0\0\0\x08\0" + chance.randbytes(16) + name for name in names]
    return b"".join(head + chance.randbytes(8_000) for head in heads) + b"".join(heads)


def tables() -> bytes:
    """Zeros with something in between, as disk images and databases have it."""
    chance = random.Random(4)
    return b"".join(bytes(700_000) + chance.randbytes(60_000) for _ in range(4)) + bytes(500_000)


def tiny_files() -> bytes:
    """The headers of a tar, mostly."""
    return b"".join(b"%099d\0" % n + bytes(412) + b"x" * 9 + bytes(503) for n in range(4_000))


def zeros() -> bytes:
    return bytes(5 * SIZE)


def little() -> bytes:
    return b"hello\n"
