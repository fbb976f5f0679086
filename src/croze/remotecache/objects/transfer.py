"""Requests to object storage: bodies from files, another attempt where that may help, answers that
can't be larger than what was asked for."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from msgspec import Struct, field
from msgspec.structs import replace

from croze.aio.threads import in_thread, opened
from croze.errors import (
    CrozeError,
    NotFound,
    PermissionDenied,
    Unavailable,
    os_message,
)
from croze.files.redact import MASK, redact
from croze.http.daemon import HttpClient, is_all_of
from croze.http.lazy import aiohttp
from croze.image.descriptor import Descriptor
from croze.registry import failures
from croze.registry.pull import short_read, too_long
from croze.remotecache.objects.contract import Take
from croze.remotecache.objects.pace import THROTTLED, Pace

ERROR_BYTES = 32 << 10
CONFIG_BYTES = 64 << 20
"""A cache config of 100,000 records has about 30 MB."""
SMALL_ANSWER_S = 300.0
"""For the whole of an answer that is no blob: whoever sends a byte a minute is not waited for."""
REFUSAL_S = 30.0
"""How long somebody may say why not."""
_READ_BYTES = 1 << 20
_MOST_WAIT_S = 120.0


class Piece(Struct, frozen=True):
    """A part of a file."""

    path: Path
    start: int
    size: int

    def __len__(self) -> int:
        return self.size

    async def stream(self, file: BinaryIO) -> AsyncIterator[bytes]:
        """The bytes of the piece, out of the file that it is of."""
        await in_thread(file.seek, self.start)
        remaining_bytes = self.size
        while remaining_bytes and (
            data := await in_thread(file.read, min(remaining_bytes, _READ_BYTES))
        ):
            remaining_bytes -= len(data)
            yield data

    async def sha256(self) -> str:
        return await in_thread(_sha256, self)


def _sha256(piece: Piece) -> str:
    digest, remaining_bytes = hashlib.sha256(), piece.size
    with open(piece.path, "rb") as file:
        file.seek(piece.start)
        while remaining_bytes and (data := file.read(min(remaining_bytes, _READ_BYTES))):
            remaining_bytes -= len(data)
            digest.update(data)
    return digest.hexdigest()


def pieces(path: Path, size: int, piece_bytes: int) -> list[Piece]:
    """The file in parts, the last of which may be smaller; an empty file is one part."""
    starts = range(0, size, piece_bytes) if size else (0,)
    return [Piece(path, start, min(piece_bytes, size - start)) for start in starts]


class ObjectRequest(Struct, frozen=True):
    """A request that can be sent. `headers`: all that go along, credentials too."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Piece | bytes = b""
    redirects: bool = False


Prepare = Callable[[], Awaitable[ObjectRequest]]
"""Makes the request anew for each attempt: signatures have a time in them."""


class ObjectAnswer(Struct, frozen=True):
    """A whole answer. `headers`: names in lower case."""

    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300


class ObjectRetry(Struct, frozen=True):
    """When requests are tried again: `attempts` in all; waits of `first_s`, doubled up to
    `limit_s`, with some chance in them. `statuses` are asked for again, and `codes`: what the
    storage calls its error."""

    attempts: int = 3
    first_s: float = 0.5
    limit_s: float = 20.0
    statuses: frozenset[int] = frozenset({408, 429, 500, 502, 503, 504})
    codes: frozenset[str] = frozenset()

    def wait_s(self, attempt: int, answer: ObjectAnswer | None) -> float:
        """The seconds to wait before the attempt that follows number `attempt`, which counts from
        1."""
        asked_s = retry_after_s(answer) if answer is not None else None
        if asked_s is not None:
            return min(asked_s, _MOST_WAIT_S)
        most: float = min(self.limit_s, self.first_s * 2 ** (attempt - 1))
        return most * random.uniform(0.5, 1.0)


def retry_after_s(answer: ObjectAnswer) -> float | None:
    """What the server says (RFC 9110, section 10.2.3)."""
    from email.utils import parsedate_to_datetime  # a room of its own to import

    text = answer.headers.get("retry-after", "").strip()
    if text.isdecimal() and len(text) < 10:
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


class NoAnswer(Unavailable):
    """No answer came, or it broke off."""

    def __init__(self, message: str, again: bool) -> None:
        """`again`: whether another attempt may help."""
        super().__init__(message)
        self.again = again


class ObjectSender(Struct, frozen=True):
    """Sends requests. `code_of`: what an answer's body calls its error. `secrets` are taken out
    of what servers say: one that repeats what it was sent must not make others read it. `pace`:
    how fast, if the storage is to have a say in that."""

    http: HttpClient
    retry: ObjectRetry
    code_of: Callable[[ObjectAnswer], str] = lambda answer: ""
    secrets: Sequence[str] = ()
    pace: Pace | None = None

    async def ask(self, prepare: Prepare, *, limit_bytes: int = ERROR_BYTES) -> ObjectAnswer:
        """A small answer, whatever its status. Raises `NoAnswer`, and `CrozeError` for one that is
        longer than `limit_bytes`."""
        attempt = 0
        while True:
            attempt += 1
            last = attempt >= self.retry.attempts
            answer = None
            try:
                async with self._paced() as answers:
                    answer = await self._answer(await prepare(), limit_bytes)
                    answers.append(answer)
                if last or not self._again(answer):
                    return answer
            except NoAnswer as error:
                if last or not error.again:
                    raise
            await asyncio.sleep(self.retry.wait_s(attempt, answer))

    @asynccontextmanager
    async def _paced(self) -> AsyncIterator[list[ObjectAnswer]]:
        """Around one attempt, which puts in what was answered."""
        answers: list[ObjectAnswer] = []
        if self.pace is None:
            yield answers
            return
        await self.pace.go()
        try:
            yield answers
        finally:
            throttled = any(not each.ok and self.code_of(each) in THROTTLED for each in answers)
            self.pace.answered(throttled=throttled)

    def _again(self, answer: ObjectAnswer) -> bool:
        return not answer.ok and (
            answer.status in self.retry.statuses or self.code_of(answer) in self.retry.codes
        )

    async def _answer(self, request: ObjectRequest, limit_bytes: int) -> ObjectAnswer:
        async with self.opened(request) as response:
            try:
                async with asyncio.timeout(SMALL_ANSWER_S):
                    if not 200 <= response.status < 300:
                        return await refusal(response, self.hidden)
                    return _answer_of(response, await _limited(response, limit_bytes))
            except TimeoutError as error:
                raise NoAnswer(str(no_answer(request, error)), again=False) from None

    def hidden(self, text: str) -> str:
        """The text without secrets."""
        for secret in self.secrets:
            if secret:
                text = text.replace(secret, MASK)
        return text

    @asynccontextmanager
    async def opened(self, request: ObjectRequest) -> AsyncIterator[aiohttp.ClientResponse]:
        """One attempt. Raises `NoAnswer`."""
        headers = dict(request.headers)
        if request.method in ("PUT", "POST", "PATCH"):
            headers["Content-Length"] = str(len(request.body))
        async with _content(request.body) as body:
            try:
                response = await self.http.send(
                    request.method,
                    request.url,
                    headers=headers,
                    body=body,
                    redirects=request.redirects,
                )
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                raise no_answer(request, error) from None
            try:
                yield response
            except (aiohttp.ClientError, OSError) as error:
                raise no_answer(request, error) from None
            finally:
                response.release()

    async def download(
        self,
        blob: Descriptor,
        prepare: Callable[[int], Awaitable[ObjectRequest]],
        refused: Callable[[ObjectAnswer], CrozeError],
        take: Take,
    ) -> None:
        """All bytes of a blob. `prepare` gets the offset to go on at, and says so in a Range
        header; `refused` makes the error of an answer that is none."""
        reading = _Reading(blob, take)
        attempt = 0
        while True:
            attempt += 1
            before = reading.done
            answer = None
            try:
                async with self._paced() as answers:
                    answer = await self._stream(await prepare(reading.done), reading)
                    answers += [answer] if answer is not None else []
                if answer is None:
                    return
                error = refused(answer)
                again = self._again(answer)
            except NoAnswer as broken:
                error, again = broken, broken.again
            if reading.done > before:
                attempt = 1
            if not again or attempt >= self.retry.attempts:
                raise error
            await asyncio.sleep(self.retry.wait_s(attempt, answer))

    async def _stream(self, request: ObjectRequest, reading: _Reading) -> ObjectAnswer | None:
        """What was received before a connection broke still counts. None when all is there."""
        async with self.opened(request) as response:
            if response.status not in (200, 206):
                return await refusal(response, self.hidden)
            skip = reading.done if response.status != 206 else 0
            if response.status == 206 and reading.done:
                content_range = response.headers.get("Content-Range", "")
                if not content_range.startswith(f"bytes {reading.done}-"):
                    raise CrozeError(f"unhandled content range in response: {content_range}")
            async for data in response.content.iter_any():
                await reading.take(data[skip:] if skip else data)
                skip = max(0, skip - len(data))
            await reading.end()
            is_all = is_all_of(response)
        if reading.done != reading.blob.size:
            if is_all:
                raise short_read(reading.blob, reading.done)
            raise NoAnswer("unexpected EOF", again=True)
        return None


@asynccontextmanager
async def _content(body: Piece | bytes) -> AsyncIterator[AsyncIterator[bytes] | bytes | None]:
    """What is sent. A file is open before anything is: one that can't be read is no fault of the
    network's, and is not tried again."""
    if isinstance(body, bytes) or not body.size:
        yield body if isinstance(body, bytes) and body else None
        return
    async with contextlib.AsyncExitStack() as stack:
        try:
            file = await stack.enter_async_context(opened(body.path))
        except OSError as error:
            raise CrozeError(f"open {os_message(error)}") from None
        yield body.stream(file)


class _Reading:
    """How far a blob has come."""

    def __init__(self, blob: Descriptor, take: Take) -> None:
        self.blob = blob
        self.done = 0
        self._take = take
        self._held = bytearray()

    async def take(self, data: bytes) -> None:
        self.done += len(data)
        if self.done > self.blob.size:
            raise too_long(self.blob)
        self._held += data
        if len(self._held) >= _READ_BYTES:
            await self.end()

    async def end(self) -> None:
        """Hand on what is held back."""
        data, self._held = bytes(self._held), bytearray()
        if data:
            await self._take(data)


async def refusal(response: aiohttp.ClientResponse, hidden: Callable[[str], str]) -> ObjectAnswer:
    """An answer that says why not; of a long one the beginning."""
    body = b""
    with contextlib.suppress(aiohttp.ClientError, OSError):
        async with asyncio.timeout(REFUSAL_S):
            while len(body) < ERROR_BYTES and (more := await response.content.read(ERROR_BYTES)):
                body += more
    text = hidden(body[:ERROR_BYTES].decode("utf-8", "replace"))
    answer = _answer_of(response, text.encode())
    headers = {name: hidden(value) for name, value in answer.headers.items()}
    return replace(answer, reason=hidden(answer.reason), headers=headers)


def _answer_of(response: aiohttp.ClientResponse, body: bytes) -> ObjectAnswer:
    headers = {name.lower(): value for name, value in response.headers.items()}
    return ObjectAnswer(response.status, response.reason or "", headers, body)


async def _limited(response: aiohttp.ClientResponse, limit_bytes: int) -> bytes:
    body = bytearray()
    async for data in response.content.iter_any():
        body += data
        if len(body) > limit_bytes:
            raise CrozeError(f"the answer is larger than {limit_bytes} bytes")
    return bytes(body)


def no_answer(request: ObjectRequest, error: Exception) -> NoAnswer:
    """The error for a request without an answer. Nothing of the query is shown: it may be a
    signature. Whoever refuses a connection may be starting, or be one of many; what is wrong with a
    certificate or an address stays so."""
    failure = failures.no_answer(f'{request.method.capitalize()} "{shown(request.url)}"', error)
    lasting = isinstance(
        error,
        aiohttp.ClientConnectorDNSError
        | aiohttp.ClientSSLError
        | aiohttp.ClientConnectorCertificateError
        | aiohttp.InvalidURL,
    )
    refused = isinstance(error, aiohttp.ClientConnectorError) and not lasting
    return NoAnswer(str(failure), failure.again or refused)


def shown(url: str) -> str:
    """A URL without its user, password and query."""
    return redact(url.partition("?")[0])


def refused_as(answer: ObjectAnswer, message: str) -> CrozeError:
    """The error by what the status means."""
    if answer.status == 404:
        return NotFound(message)
    if answer.status in (401, 403):
        return PermissionDenied(message)
    return Unavailable(message) if answer.status >= 500 else CrozeError(message)
