"""Answers of the debug address: text of any bytes, and lists that are as long as they are."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator

from aiohttp import web

from croze.gotypes import gojson
from croze.gotypes.strings import to_bytes

PIECE_BYTES = 1 << 16
_TEXT, _JSON = "text/plain", "application/json"


def text_answer(text: str) -> web.Response:
    """Text, in which may be bytes that are none: names and arguments of others."""
    return web.Response(body=to_bytes(text), content_type=_TEXT, charset="utf-8")


def json_answer(value: object) -> web.Response:
    return web.Response(body=gojson.marshal_indent(value) + b"\n", content_type=_JSON)


async def lines_sent(request: web.Request, lines: Iterable[str]) -> web.StreamResponse:
    """Lines as they are made. The daemon does other work in between."""
    return await _sent(request, _TEXT, (to_bytes(line) for line in lines))


async def list_sent(request: web.Request, values: Iterable[object]) -> web.StreamResponse:
    """A list of values as JSON; see `lines_sent`."""
    return await _sent(request, _JSON, _listed(values))


def _listed(values: Iterable[object]) -> Iterator[bytes]:
    before = b"[\n  "
    for value in values:
        yield before + gojson.marshal_indent(value).replace(b"\n", b"\n  ")
        before = b",\n  "
    yield b"[]\n" if before.startswith(b"[") else b"\n]\n"


async def _sent(
    request: web.Request, media_type: str, pieces: Iterable[bytes]
) -> web.StreamResponse:
    answer = web.StreamResponse()
    answer.content_type = media_type
    await answer.prepare(request)
    waiting = bytearray()
    for piece in pieces:
        waiting += piece
        if len(waiting) >= PIECE_BYTES:
            await answer.write(bytes(waiting))
            waiting.clear()
            await asyncio.sleep(0)
    await answer.write(bytes(waiting))
    await answer.write_eof()
    return answer
