"""`http://` and `https://`: one file from the web, or one that the client uploads.

A file that is here already is only asked about (ETag). Source of the rules: BuildKit `source/http`.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import aclosing
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from croze.aio.locks import KeyedLocks
from croze.aio.threads import in_thread
from croze.digests import digest_of
from croze.errors import CrozeError, NotFound
from croze.gotypes import gojson
from croze.http.daemon import HttpClient
from croze.http.lazy import aiohttp
from croze.http.urls import parse_url
from croze.registry import failures
from croze.registry.transport import Retry, with_retries
from croze.session import upload
from croze.session.contract import Session, SessionManager
from croze.session.secrets import get_secret
from croze.signatures import pgp
from croze.sources.contract import Source, SourceContext, SourceKey
from croze.sources.http_body import PIECE_BYTES, asked, body_pieces, write_file
from croze.sources.http_options import (
    HttpOptions,
    file_name,
    http_date,
    http_key,
    parse_options,
)
from croze.sources.materials import HttpMaterial, UsedMaterial
from croze.sources.request import SourceRequest
from croze.sources.resolutions import HttpFile
from croze.store.contract import ImmutableRef, RefStore
from croze.store.disk import disk_errors

SCHEMES = ("http", "https")

T = TypeVar("T")

DESCRIPTION = "http url "
"""How a record's description begins; the URL follows."""

_UPLOADED = "upload"
_META_URL, _META_ETAG = "http_url", "http_etag"
_META_DIGEST, _META_MODIFIED = "http_digest", "http_modified"


class HttpSource:
    """One file for one vertex."""

    def __init__(self, options: HttpOptions, owner: HttpSources) -> None:
        self._options = options
        self._owner = owner
        self._found: HttpFile | None = None

    async def describe(self, ctx: SourceContext) -> HttpFile:
        """The file as it is now; with a checksum given, without asking anyone. A signature is
        checked."""
        options = self._options
        if options.signature:
            file = await self._resolved(ctx)
            await self._check_signature(ctx)
            return file
        if options.checksum:
            return HttpFile(options.checksum, file_name(options.url, options.filename))
        return await self._resolved(ctx)

    async def checksum(self, ctx: SourceContext, algorithm: str, suffix: bytes = b"") -> str:
        """A digest of the file followed by `suffix`: what OpenPGP signs, for those who check it
        themselves."""

        def compute(pieces: Iterable[bytes]) -> str:
            sums = hashlib.new(algorithm)
            for piece in pieces:
                sums.update(piece)
            sums.update(suffix)
            return f"{algorithm}:{sums.hexdigest()}"

        return await self._read(ctx, compute)

    async def _check_signature(self, ctx: SourceContext) -> None:
        options = self._options

        def check(pieces: Iterable[bytes]) -> None:
            pgp.verify_detached(pieces, options.signature, options.public_key)

        try:
            await self._read(ctx, check)
        except CrozeError as err:
            raise err.wrap("failed to verify pgp signature") from None

    async def _read(self, ctx: SourceContext, use: Callable[[Iterable[bytes]], T]) -> T:
        """Give the content to a function that runs in a thread."""
        ref = await self.snapshot(ctx)
        if ref is None:
            raise NotFound("the file has no content")
        try:
            async with ref.mounted(readonly=True) as root:
                return await in_thread(_with_pieces, root, use)
        finally:
            await ref.release()

    async def key(self, ctx: SourceContext, index: int) -> SourceKey:
        """See `Source.key`."""
        file = await self.describe(ctx)
        return SourceKey(http_key(self._options, file), pin=file.digest)

    def used(self, pin: str) -> UsedMaterial:
        """See `Source.used`."""
        return UsedMaterial(HttpMaterial(self._options.url, pin))

    async def snapshot(self, ctx: SourceContext) -> ImmutableRef | None:
        """See `Source.snapshot`."""
        file = await self._resolved(ctx)
        try:
            return await self._owner.refs.get(file.ref_id)
        except NotFound:
            self._found = None
            return await self._owner.refs.get((await self._resolved(ctx)).ref_id)

    async def _resolved(self, ctx: SourceContext) -> HttpFile:
        if self._found is None:
            file = await self._owner.fetch(self._options, ctx)
            if self._options.checksum not in ("", file.digest):
                raise CrozeError(f"digest mismatch {file.digest}: {self._options.checksum}")
            self._found = file
        return self._found


def _with_pieces(root: Path, use: Callable[[Iterable[bytes]], T]) -> T:
    (path,) = root.iterdir()
    with path.open("rb") as file:
        return use(iter(lambda: file.read(PIECE_BYTES), b""))


def auth_secrets(options: HttpOptions) -> list[tuple[str, str]]:
    """The secrets that may hold credentials, the strongest last, and what goes before each: the
    one that the op names, or else those named for the host."""
    if options.auth_secret:
        return [(options.auth_secret, "")]
    host = parse_url(options.url).hostname or ""
    return [(f"HTTP_AUTH_HEADER_{host}", ""), (f"HTTP_AUTH_TOKEN_{host}", "Bearer ")]


class HttpSources:
    """Opens both schemes. `close` it at the end."""

    schemes = SCHEMES

    def __init__(
        self, refs: RefStore, sessions: SessionManager, retry: Retry | None = None
    ) -> None:
        self.refs = refs
        self._retry = retry or Retry()
        self._sessions = sessions
        self._locks: KeyedLocks[str] = KeyedLocks()
        self._client: HttpClient | None = None

    def open(self, request: SourceRequest) -> Source:
        return self.open_http(request)

    def open_http(self, request: SourceRequest) -> HttpSource:
        """Like `open`, as what it is: web sources answer more than others."""
        return HttpSource(parse_options(request), self)

    async def close(self) -> None:
        """Close all connections. Idempotent."""
        if self._client is not None:
            await self._client.close()
            self._client = None

    async def fetch(self, options: HttpOptions, ctx: SourceContext) -> HttpFile:
        """The file as it is now, or was when the build first asked."""
        identity = _identity(options)

        async def ask() -> HttpFile:
            file = await self._fetch(options, identity, ctx)
            ctx.build.held.add(await self.refs.get(file.ref_id))
            return file

        def expected(file: HttpFile) -> bool:
            return options.checksum in ("", file.digest)

        return await ctx.build.files.get(identity, ask, expected)

    async def _fetch(self, options: HttpOptions, identity: str, ctx: SourceContext) -> HttpFile:
        """Fetched unless an earlier one is still good."""
        async with self._locks.of(identity):
            if upload.is_upload(options.url):
                return await self._fetch_upload(options, identity, ctx)
            headers = await self._headers(options, ctx)
            earlier = await self._known(identity)
            if earlier:
                file = await self._still_good(options, headers, earlier)
                if file is not None:
                    return file
            return await with_retries(
                self._retry,
                failures.retriable,
                lambda: self._download(options, identity, headers),
                lambda text: ctx.progress.log(2, text.encode()),
            )

    def _http(self) -> HttpClient:
        if self._client is None:
            # As Go's client asks: a body that comes compressed is wanted as it was before.
            self._client = HttpClient(accept_encoding="gzip")
        return self._client

    async def _headers(self, options: HttpOptions, ctx: SourceContext) -> dict[str, str]:
        headers = dict(options.headers)
        for id, prefix in auth_secrets(options):

            async def ask(session: Session, id: str = id) -> bytes:
                return await get_secret(session, id)

            try:
                value = await self._sessions.first(ctx.sessions, ask)
            except CrozeError as error:
                if options.auth_secret:
                    raise error.wrap(f"failed to retrieve HTTP auth secret {id}") from None
                continue
            headers["Authorization"] = prefix + value.decode("latin-1").strip()
        return headers

    async def _known(self, identity: str) -> dict[str, HttpFile]:
        """Earlier answers by ETag, of which the file is still here."""
        by_etag = {}
        for id in self.refs.find(**{_META_URL: identity}):
            try:
                ref = await self.refs.get(id)
            except NotFound:
                continue
            etag, digest = ref.get_meta(_META_ETAG), ref.get_meta(_META_DIGEST)
            if etag and digest:
                by_etag[etag] = HttpFile(digest, "", _date(ref.get_meta(_META_MODIFIED) or ""), id)
            await ref.release()
        return by_etag

    async def _still_good(
        self, options: HttpOptions, headers: Mapping[str, str], earlier: Mapping[str, HttpFile]
    ) -> HttpFile | None:
        """Ask with HEAD first: some servers don't understand If-None-Match on GET."""
        conditional = dict(headers) | {"If-None-Match": ", ".join(earlier)}
        try:
            answer = self._http().send("HEAD", options.url, headers=conditional)
            async with await answer as response:
                if response.status not in (200, 304):
                    return None
                etag = _etag(response)
                if not etag and len(earlier) == 1 and response.status == 304:
                    etag = next(iter(earlier))
                remembered = earlier.get(etag)
                disposition = response.headers.get("Content-Disposition", "")
        except (aiohttp.ClientError, OSError):
            return None
        if remembered is None:
            return None
        name = file_name(options.url, options.filename, disposition)
        return HttpFile(remembered.digest, name, remembered.modified, remembered.ref_id)

    async def _download(
        self, options: HttpOptions, identity: str, headers: Mapping[str, str]
    ) -> HttpFile:
        with asked(options):
            response = await self._http().send("GET", options.url, headers=headers)
        async with response:
            if not 200 <= response.status < 300:
                text = f"invalid response status {response.status}"
                raise failures.UnexpectedStatus(text, response.status)
            disposition = response.headers.get("Content-Disposition", "")
            modified = _date(response.headers.get("Last-Modified", ""))
            name = file_name(options.url, options.filename, disposition)
            async with aclosing(body_pieces(response, options)) as pieces:
                saved = await self._save(options, name, modified, pieces)
            etag = _etag(response)
        return await self._remembered(saved, identity, etag)

    async def _fetch_upload(
        self, options: HttpOptions, identity: str, ctx: SourceContext
    ) -> HttpFile:
        """A client gives it only once, and its URL never means anything else."""
        uploaded = (await self._known(identity)).get(_UPLOADED)
        if uploaded is not None:
            name = file_name(options.url, options.filename)
            return HttpFile(uploaded.digest, name, None, uploaded.ref_id)

        async def save(pieces: AsyncIterator[bytes]) -> tuple[ImmutableRef, HttpFile]:
            name = file_name(options.url, options.filename)
            return await self._save(options, name, None, pieces)

        async def take(session: Session) -> tuple[ImmutableRef, HttpFile]:
            return await save(upload.pull(session, options.url))

        if (own := self._sessions.uploaded(options.url)) is not None:
            saved = await save(own)
        else:
            saved = await self._sessions.first(ctx.sessions, take)
        return await self._remembered(saved, identity, _UPLOADED)

    async def _remembered(
        self, saved: tuple[ImmutableRef, HttpFile], identity: str, etag: str
    ) -> HttpFile:
        ref, file = saved
        modified = http_date(file.modified) if file.modified is not None else ""
        ref.set_meta(
            **{
                _META_URL: identity,
                _META_ETAG: etag,
                _META_DIGEST: file.digest,
                _META_MODIFIED: modified,
            }
        )
        await ref.release()
        return file

    async def _save(
        self,
        options: HttpOptions,
        name: str,
        modified: datetime | None,
        pieces: AsyncIterator[bytes],
    ) -> tuple[ImmutableRef, HttpFile]:
        ref = await self.refs.new(None, description=f"{DESCRIPTION}{options.shown}")
        try:
            async with ref.mounted(readonly=False) as root:
                with disk_errors(f"failed to write {options.shown}"):
                    digest = await write_file(os.path.join(root, name), options, modified, pieces)
            immutable = await ref.commit()
        except BaseException:
            await asyncio.shield(ref.release())
            raise
        return immutable, HttpFile(digest, name, modified, immutable.id)


def _identity(options: HttpOptions) -> str:
    """What a stored file must have been asked for with."""
    return digest_of(
        gojson.marshal(
            [
                options.url,
                options.filename,
                options.perm,
                options.uid,
                options.gid,
                options.auth_secret,
                options.headers,
                options.checksum.partition(":")[0] or "sha256",
            ]
        )
    )


def _etag(response: aiohttp.ClientResponse) -> str:
    return response.headers.get("ETag", "").removeprefix("W/")


def _date(text: str) -> datetime | None:
    from email.utils import parsedate_to_datetime  # a room of its own to import

    try:
        return parsedate_to_datetime(text) if text else None
    except (ValueError, OverflowError):
        return None
