"""The requests of Amazon S3's REST API that a cache needs, signed. Errors are worded as the Go SDK
words them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from msgspec import Struct

from croze.aio.threads import in_thread
from croze.clouds.aws import AwsIdentity
from croze.clouds.sigv4 import encoded, signed
from croze.errors import CrozeError, PermissionDenied
from croze.remotecache.objects.s3_options import S3Options
from croze.remotecache.objects.transfer import (
    CONFIG_BYTES,
    NoAnswer,
    ObjectAnswer,
    ObjectRequest,
    ObjectSender,
    Piece,
    refused_as,
)

RETRIED_CODES = frozenset(
    {
        *("RequestTimeout", "RequestTimeoutException", "InternalError", "SlowDown"),
        *("Throttling", "ThrottlingException", "RequestThrottled", "RequestLimitExceeded"),
        *("BandwidthLimitExceeded", "RequestThrottledException", "TooManyRequestsException"),
        *("PriorRequestNotComplete", "TransactionInProgressException", "EC2ThrottledException"),
    }
)

_ENTITIES = {"&lt;": "<", "&gt;": ">", "&quot;": '"', "&apos;": "'", "&#34;": '"', "&amp;": "&"}


class ObjectHead(Struct, frozen=True):
    """What S3 knows of an object."""

    size: int
    modified: datetime


class StoredPart(Struct, frozen=True):
    """A part of an upload that is there."""

    number: int
    etag: str


class S3Requests(Struct, frozen=True):
    """Sends signed requests about one bucket. All raise `CrozeError`; `NotFound` where an object is
    asked for that is not there."""

    options: S3Options
    identity: AwsIdentity
    sender: ObjectSender

    async def head(self, key: str) -> ObjectHead | None:
        """What is known of an object; None if there is none."""
        answer = await self._ask("HeadObject", "HEAD", key)
        if answer.status == 404:
            return None
        self._check("HeadObject", answer)
        size = answer.headers.get("content-length", "")
        return ObjectHead(int(size) if size.isdecimal() else 0, _date(answer))

    async def get(self, key: str) -> bytes | None:
        """A small object; None if there is none."""
        answer = await self._ask("GetObject", "GET", key, limit_bytes=CONFIG_BYTES)
        if answer.status == 404 and code_of(answer) != "NoSuchBucket":
            return None
        return self._check("GetObject", answer).body

    async def put(self, key: str, body: Piece | bytes) -> None:
        """Write an object as a whole, over what is there."""
        self._check("PutObject", await self._ask("PutObject", "PUT", key, body=body))

    async def touch(self, key: str) -> None:
        """Copy an object of at most 5 GiB onto itself, so that it is as new."""
        headers = {
            "x-amz-copy-source": self._source(key),
            "x-amz-metadata-directive": "REPLACE",
            "x-amz-meta-updated-at": str(datetime.now(UTC)),
        }
        self._check_body(
            "CopyObject", await self._ask("CopyObject", "PUT", key, headers=headers), "ETag"
        )

    async def start_upload(self, key: str) -> str:
        """The id of an upload in parts. End it one way or the other, or the parts stay for ever."""
        answer = await self._ask("CreateMultipartUpload", "POST", key, query="uploads=")
        return self._check_body("CreateMultipartUpload", answer, "UploadId")

    async def upload_part(self, key: str, upload: str, number: int, body: Piece) -> StoredPart:
        """Parts count from 1; all but the last have at least 5 MiB."""
        query = f"partNumber={number}&uploadId={encoded(upload)}"
        answer = self._check(
            "UploadPart", await self._ask("UploadPart", "PUT", key, query=query, body=body)
        )
        return StoredPart(number, answer.headers.get("etag", ""))

    async def copy_part(
        self, key: str, upload: str, number: int, first: int, last: int
    ) -> StoredPart:
        """A part made of bytes that are there already."""
        query = f"partNumber={number}&uploadId={encoded(upload)}"
        headers = {
            "x-amz-copy-source": self._source(key),
            "x-amz-copy-source-range": f"bytes={first}-{last}",
        }
        answer = await self._ask("UploadPartCopy", "PUT", key, query=query, headers=headers)
        return StoredPart(number, self._check_body("UploadPartCopy", answer, "ETag"))

    async def complete_upload(self, key: str, upload: str, parts: Sequence[StoredPart]) -> None:
        """The object is there from now on."""
        listed = "".join(
            f"<Part><ETag>{_escaped(part.etag)}</ETag><PartNumber>{part.number}</PartNumber></Part>"
            for part in parts
        )
        space = "http://s3.amazonaws.com/doc/2006-03-01/"
        body = f'<CompleteMultipartUpload xmlns="{space}">{listed}</CompleteMultipartUpload>'
        query = f"uploadId={encoded(upload)}"
        answer = await self._ask(
            "CompleteMultipartUpload", "POST", key, query=query, body=body.encode()
        )
        self._check_body("CompleteMultipartUpload", answer, "ETag")

    async def abort_upload(self, key: str, upload: str) -> None:
        """Drop the parts."""
        query = f"uploadId={encoded(upload)}"
        await self._ask("AbortMultipartUpload", "DELETE", key, query=query)

    async def reading(self, key: str, offset: int) -> ObjectRequest:
        """The request for an object's bytes from `offset` on."""
        headers = {"range": f"bytes={offset}-"} if offset else {}
        return await self._request("GET", key, "", headers, b"")

    def unreadable(self, answer: ObjectAnswer) -> CrozeError:
        """The error for an answer with which `reading` was refused."""
        return failure("GetObject", answer)

    def _source(self, key: str) -> str:
        return encoded(f"{self.options.bucket}/{key}", safe="/")

    async def _ask(
        self,
        operation: str,
        method: str,
        key: str,
        *,
        query: str = "",
        headers: Mapping[str, str] | None = None,
        body: Piece | bytes = b"",
        limit_bytes: int = 1 << 20,
    ) -> ObjectAnswer:
        async def prepare() -> ObjectRequest:
            return await self._request(method, key, query, headers or {}, body)

        try:
            return await self.sender.ask(prepare, limit_bytes=limit_bytes)
        except NoAnswer as error:
            raise error.wrap(
                f"operation error S3: {operation}, https response error StatusCode: 0, "
                "RequestID: , HostID: , request send failed"
            ) from None
        except PermissionDenied as error:
            problem = f"operation error S3: {operation}, get identity: get credentials"
            raise error.wrap(problem) from None

    async def _request(
        self, method: str, key: str, query: str, headers: Mapping[str, str], body: Piece | bytes
    ) -> ObjectRequest:
        payload = (
            hashlib.sha256(body).hexdigest() if isinstance(body, bytes) else await body.sha256()
        )
        url = self.options.url(key, query)
        full = signed(
            method,
            url,
            {"Content-Type": "application/octet-stream", **headers} if body else headers,
            payload_sha256=payload,
            credentials=await in_thread(self.identity.credentials),
            region=self.options.region,
            now=datetime.now(UTC),
        )
        return ObjectRequest(method, url, full, body)

    def _check(self, operation: str, answer: ObjectAnswer) -> ObjectAnswer:
        if not answer.ok:
            raise failure(operation, answer)
        return answer

    def _check_body(self, operation: str, answer: ObjectAnswer, tag: str) -> str:
        """Copies and completions answer 200 before they have worked. The content of `tag`."""
        self._check(operation, answer)
        text = _tag(answer, tag)
        if code_of(answer) or not text:
            raise failure(operation, answer)
        return text


def code_of(answer: ObjectAnswer) -> str:
    """What S3 calls the error."""
    return _tag(answer, "Code") if b"<Error>" in answer.body else ""


def failure(operation: str, answer: ObjectAnswer) -> CrozeError:
    """The error for an answer."""
    code = code_of(answer) or answer.reason.replace(" ", "") or "Unknown"
    message = _tag(answer, "Message") or code
    text = (
        f"operation error S3: {operation}, https response error StatusCode: {answer.status}, "
        f"RequestID: {answer.headers.get('x-amz-request-id', '')}, "
        f"HostID: {answer.headers.get('x-amz-id-2', '')}, api error {code}: {message}"
    )
    return refused_as(answer, text)


def _tag(answer: ObjectAnswer, name: str) -> str:
    """The text of the first such element. No parser of XML sees what a server says."""
    text = answer.body[: 64 << 10].decode("utf-8", "replace")
    match = re.search(rf"<{name}>([^<]*)</{name}>", text)
    return _unescaped(match[1]).strip() if match else ""


def _unescaped(text: str) -> str:
    """The five entities that XML itself has."""
    for entity, character in _ENTITIES.items():
        text = text.replace(entity, character)
    return text


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _date(answer: ObjectAnswer) -> datetime:
    from email.utils import parsedate_to_datetime  # a room of its own to import

    try:
        moment = parsedate_to_datetime(answer.headers.get("last-modified", ""))
    except ValueError:
        return datetime.now(UTC)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
