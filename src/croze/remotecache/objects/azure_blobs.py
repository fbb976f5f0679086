"""The requests of Azure Storage's REST API that a cache needs. Blobs of GitHub's Actions cache are
such blobs, too: their URLs are signed already."""

from __future__ import annotations

import asyncio
import base64
import re
import uuid
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from msgspec import Struct, field

from croze.aio.parallel import first_error
from croze.errors import CrozeError
from croze.image.descriptor import Descriptor
from croze.remotecache.objects.contract import Take
from croze.remotecache.objects.transfer import (
    CONFIG_BYTES,
    ObjectAnswer,
    ObjectRequest,
    ObjectSender,
    Piece,
    pieces,
    refused_as,
    shown,
)

VERSION = "2021-12-02"
BLOCK_BYTES = 32 << 20
"""What is not larger goes up as a whole; else this is the size of a block."""
MOST_BLOCKS = 50_000
_BLOCKS_AT_ONCE = 4

Authorize = Callable[[str, str, Mapping[str, str]], Awaitable[Mapping[str, str]]]
"""The headers of a request to (method, URL), with those that say who asks."""


async def as_it_is(method: str, url: str, headers: Mapping[str, str]) -> Mapping[str, str]:
    """The headers unchanged, for URLs that are signed: in place of `SharedKey.signed`."""
    return headers


class BlobRequests(Struct, frozen=True):
    """URLs may have a query, which stays. All raise `CrozeError` for other answers than asked."""

    sender: ObjectSender
    authorize: Authorize
    at_once: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_BLOCKS_AT_ONCE))

    async def ask(
        self,
        method: str,
        url: str,
        *,
        query: str = "",
        headers: Mapping[str, str] | None = None,
        body: Piece | bytes = b"",
        limit_bytes: int = 1 << 20,
    ) -> ObjectAnswer:
        """An answer, whatever its status."""

        async def prepare() -> ObjectRequest:
            return await self._request(method, _with(url, query), headers or {}, body)

        return await self.sender.ask(prepare, limit_bytes=limit_bytes)

    async def _request(
        self, method: str, url: str, headers: Mapping[str, str], body: Piece | bytes
    ) -> ObjectRequest:
        full = {"x-ms-version": VERSION, **headers}
        if method in ("PUT", "POST"):
            # Said here, since the HTTP client would say so of itself, and the signature covers it.
            full = {"Content-Type": "application/octet-stream"} | full
            full["Content-Length"] = str(len(body))
        return ObjectRequest(method, url, await self.authorize(method, url, full), body)

    async def put(self, url: str, body: Piece | bytes, *, over: bool) -> None:
        """Write a blob as a whole. Unless `over`, one that is there stays."""
        headers = {"x-ms-blob-type": "BlockBlob"} | ({} if over else {"If-None-Match": "*"})
        answer = await self.ask("PUT", url, headers=headers, body=body)
        if not answer.ok and (over or not is_there(answer)):
            raise failure("PUT", url, answer)

    async def upload(self, url: str, file: Path, size: int, *, over: bool = False) -> None:
        """Write a blob from a file, in blocks if it is large."""
        if size <= BLOCK_BYTES:
            await self.put(url, Piece(file, 0, size), over=over)
            return
        parts = pieces(file, size, max(BLOCK_BYTES, -(-size // MOST_BLOCKS)))
        # Others may be uploading the same: blocks that are not committed are one heap.
        prefix = uuid.uuid4().hex
        ids = [base64.b64encode(f"{prefix}{n:08}".encode()).decode() for n in range(len(parts))]

        async def send(id: str, part: Piece) -> None:
            query = f"comp=block&blockid={id.replace('+', '%2B').replace('=', '%3D')}"
            async with self.at_once:
                answer = await self.ask("PUT", url, query=query, body=part)
            if not answer.ok:
                raise failure("PUT", url, answer)

        async with first_error(), asyncio.TaskGroup() as group:
            for each in zip(ids, parts, strict=True):
                group.create_task(send(*each))
        await self._commit(url, ids, over)

    async def _commit(self, url: str, ids: list[str], over: bool) -> None:
        listed = "".join(f"<Latest>{id}</Latest>" for id in ids)
        body = f'<?xml version="1.0" encoding="utf-8"?><BlockList>{listed}</BlockList>'
        answer = await self.ask(
            "PUT",
            url,
            query="comp=blocklist",
            headers={"Content-Type": "application/xml"} | ({} if over else {"If-None-Match": "*"}),
            body=body.encode(),
        )
        if not answer.ok and (over or not is_there(answer)):
            raise failure("PUT", url, answer)

    async def exists(self, url: str) -> bool:
        """Whether there is such a blob."""
        answer = await self.ask("HEAD", url)
        if answer.status == 404 and code_of(answer) in ("BlobNotFound", ""):
            return False
        if not answer.ok:
            raise failure("HEAD", url, answer)
        return True

    async def get(self, url: str) -> bytes:
        """A small blob."""
        answer = await self.ask("GET", url, limit_bytes=CONFIG_BYTES)
        if not answer.ok:
            raise failure("GET", url, answer)
        return answer.body

    async def download(
        self,
        url: str,
        blob: Descriptor,
        take: Take,
        refused: Callable[[ObjectAnswer], CrozeError] | None = None,
    ) -> None:
        """See `ObjectSender.download`."""

        async def prepare(offset: int) -> ObjectRequest:
            headers = {"x-ms-range": f"bytes={offset}-"} if offset else {}
            return await self._request("GET", url, headers, b"")

        await self.sender.download(
            blob, prepare, refused or (lambda answer: failure("GET", url, answer)), take
        )


def _with(url: str, query: str) -> str:
    return f"{url}{'&' if '?' in url else '?'}{query}" if query else url


def is_there(answer: ObjectAnswer) -> bool:
    """Whether a write was refused because the blob exists."""
    return answer.status in (409, 412) and code_of(answer) in (
        "BlobAlreadyExists",
        "ConditionNotMet",
    )


def code_of(answer: ObjectAnswer) -> str:
    """What Azure calls the error."""
    if code := answer.headers.get("x-ms-error-code", ""):
        return code
    match = re.search(rb"<Code>([^<]*)</Code>", answer.body)
    return match[1].decode("utf-8", "replace") if match else ""


def failure(method: str, url: str, answer: ObjectAnswer) -> CrozeError:
    """The error for an answer, in the words of the Go SDK, on one line."""
    text = f"{method} {shown(url)}: RESPONSE {answer.status}: {answer.status} {answer.reason}"
    return refused_as(answer, f"{text}, ERROR CODE: {code_of(answer) or 'UNAVAILABLE'}")
