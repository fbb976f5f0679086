"""Messages as they travel: a header that says how long, then JSON.

Source: https://microsoft.github.io/debug-adapter-protocol/overview#base-protocol
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable
from typing import TypeGuard

from croze.debug.terminal import Keyboard
from croze.errors import CrozeError, InvalidRequest
from croze.files.settings import parse_json

Message = dict[str, object]

LIMIT_BYTES = 64 << 20
"""The largest message."""
_HEADER_BYTES = 8 << 10
"""The largest header: it has a line or two."""
_DIGITS = len(str(LIMIT_BYTES))


class RequestRefused(CrozeError):
    """A request is answered with a no, and why."""


class DapConnection:
    """The messages to and from one client."""

    def __init__(self, keyboard: Keyboard, write: Callable[[bytes], None]) -> None:
        self._keyboard = keyboard
        self._write = write
        self._unread = bytearray()
        self._seq = itertools.count(1)
        self._asked: dict[int, asyncio.Future[Message]] = {}

    async def receive(self) -> Message | None:
        """The next request of the client; None at the end. What comes that answers a request of
        ours goes to whoever asked. Raises `InvalidRequest`."""
        while True:
            header = await self._until(b"\r\n\r\n")
            if header is None:
                return None
            data = await self._exactly(_length(header))
            if data is None:
                return None
            message = _object(data)
            if message.get("type") == "request":
                return message
            waiting = self._asked.pop(number(message, "request_seq"), None)
            if waiting is not None and not waiting.done():
                waiting.set_result(message)

    async def ask(self, command: str, arguments: Message) -> None:
        """Have the client do something. Raises `RequestRefused`."""
        seq = next(self._seq)
        answer = self._asked[seq] = asyncio.get_running_loop().create_future()
        self._send(seq, {"type": "request", "command": command, "arguments": arguments})
        message = await answer
        if not message.get("success"):
            raise RequestRefused(text(message, "message"))

    def event(self, name: str, body: Message | None = None) -> None:
        event: Message = {"type": "event", "event": name}
        self._send(next(self._seq), event if body is None else {**event, "body": body})

    def answer(self, request: Message, body: Message | None, refused: str = "") -> None:
        message: Message = {
            "type": "response",
            "request_seq": number(request, "seq"),
            "success": not refused,
            "command": text(request, "command"),
        }
        if refused:
            message["message"] = refused
        elif body is not None:
            message["body"] = body
        self._send(next(self._seq), message)

    def _send(self, seq: int, message: Message) -> None:
        data = json.dumps({"seq": seq, **message}).encode()
        self._write(b"Content-Length: %d\r\n\r\n%s" % (len(data), data))

    async def _until(self, mark: bytes) -> bytes | None:
        while (at := self._unread.find(mark)) < 0 and len(self._unread) <= _HEADER_BYTES:
            if not await self._more():
                return None
        if at < 0:
            raise InvalidRequest("not a message of the Debug Adapter Protocol: it has no end")
        line = bytes(self._unread[:at])
        del self._unread[: at + len(mark)]
        return line

    async def _exactly(self, length: int) -> bytes | None:
        while len(self._unread) < length:
            if not await self._more():
                return None
        body = bytes(self._unread[:length])
        del self._unread[:length]
        return body

    async def _more(self) -> bool:
        heard = await self._keyboard.read()
        self._unread += heard
        return bool(heard)


def _length(header: bytes) -> int:
    for line in header.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() != b"content-length" or not value.strip().isdigit():
            continue
        digits = value.strip().lstrip(b"0") or b"0"
        if len(digits) <= _DIGITS and int(digits) <= LIMIT_BYTES:
            return int(digits)
    raise InvalidRequest(f"not a message of the Debug Adapter Protocol: {header!r}")


def _object(data: bytes) -> Message:
    try:
        value: object = parse_json(data)
    except ValueError as error:
        raise InvalidRequest(f"not a message of the Debug Adapter Protocol: {error}") from None
    if not _is_object(value):
        raise InvalidRequest("not a message of the Debug Adapter Protocol")
    return value


def _is_object(value: object) -> TypeGuard[Message]:
    return isinstance(value, dict)


def part(message: Message, name: str) -> Message:
    """The object in a message's member; empty if there is none."""
    value = message.get(name)
    return value if _is_object(value) else {}


def parts(message: Message, name: str) -> list[Message]:
    """The objects in a message's member that is a list."""
    values = message.get(name)
    return [each for each in values if _is_object(each)] if isinstance(values, list) else []


def number(message: Message, name: str) -> int:
    value = message.get(name)
    return value if isinstance(value, int) else 0


def text(message: Message, name: str) -> str:
    value = message.get(name)
    return value if isinstance(value, str) else ""
