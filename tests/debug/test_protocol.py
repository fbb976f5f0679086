"""Messages of editors, and what is none."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable

import pytest

from croze.debug.dap.adapter import EXPRESSION_CHARS, Adapter
from croze.debug.dap.protocol import DapConnection
from croze.debug.terminal import Keyboard
from croze.errors import Canceled, InvalidRequest


class Typed(Keyboard):
    """What is typed in these pieces."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)

    async def read(self) -> bytes:
        await asyncio.sleep(0)
        return next(self._pieces, b"")


def connection(*pieces: bytes) -> DapConnection:
    return DapConnection(Typed(pieces), lambda _data: None)


@pytest.mark.parametrize("length", [b"18", b"  18 ", b"0" * 5000 + b"18"])
async def test_a_message_in_pieces(length: bytes) -> None:
    text = b"X: 1\r\nContent-Length: " + length + b'\r\n\r\n{"type":"request"}'
    by_bytes = (text[at : at + 1] for at in range(len(text)))
    editor = connection(*by_bytes, text, text[:-1])
    assert await editor.receive() == await editor.receive() == {"type": "request"}
    assert await editor.receive() is None


@pytest.mark.parametrize(
    "text",
    [
        b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n{}",
        b"Content-Length: 67108865\r\n\r\n{}",
        b"Content-Length: -2\r\n\r\n{}",
        b"Content-Length: 2\r\n\r\n{]",
    ],
)
async def test_what_is_no_message(text: bytes) -> None:
    with pytest.raises(InvalidRequest, match="not a message of the Debug Adapter Protocol"):
        await connection(text).receive()


async def test_a_header_without_end() -> None:
    """It is not waited for: each piece was looked for its end in all that had come."""
    pieces = (b"x" * 1000 for _ in range(20))
    with pytest.raises(InvalidRequest, match="it has no end"):
        await connection(*pieces).receive()


async def test_expressions_that_take_long_to_take_apart() -> None:
    request = {
        "type": "request",
        "seq": 1,
        "command": "evaluate",
        "arguments": {"context": "repl", "expression": "x" * (EXPRESSION_CHARS + 1)},
    }
    data, answers = json.dumps(request).encode(), list[bytes]()
    keys = Typed([b"Content-Length: %d\r\n\r\n%s" % (len(data), data)])
    async with asyncio.TaskGroup() as group:
        adapter = Adapter(DapConnection(keys, answers.append), group)
        await adapter.serve()
    assert b"expression has more than 65536 characters" in answers[0]
    with pytest.raises(Canceled):
        await adapter.launched()
