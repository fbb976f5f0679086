"""Files from a web server, and uploads."""

from __future__ import annotations

import errno
import gzip
import hashlib
import io
import os
import stat
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import BinaryIO

import pytest
from aiohttp import web

from croze.digests import digest_of
from croze.errors import CrozeError, InvalidRequest, Unavailable
from croze.registry.transport import Retry
from croze.session.providers.secrets import SecretSource, SecretsProvider
from croze.session.providers.upload import UploadProvider
from croze.sources import http_body
from croze.sources.facts import SourceFacts, ask
from croze.sources.git.source import GitSources
from croze.sources.http import HttpSource, HttpSources
from croze.sources.http_options import file_name, http_key, parse_options
from croze.sources.request import SourceRequest
from croze.sources.resolutions import HttpFile
from tests.registry.servers import serve
from tests.signatures.conftest import gnupg
from tests.signatures.gnupg import GnuPG
from tests.sources.rig import Rig
from tests.sources.troubles import busy, reset, truncated
from tests.support.waiting import free_port

__all__ = ["gnupg"]

pytestmark = pytest.mark.root

BODY = b"hello\n"
SUM = "sha256:" + hashlib.sha256(BODY).hexdigest()


Fault = Callable[[web.Request], Awaitable[web.Response]]


class Site:
    """One page."""

    def __init__(self) -> None:
        self.body = BODY
        self.headers: dict[str, str] = {"ETag": '"one"'}
        self.asked: list[tuple[str, str]] = []
        self.authorization = ""
        self.faults: list[Fault] = []
        self.app = web.Application()
        self.app.router.add_route("*", "/{path:.*}", self.handle)

    async def handle(self, request: web.Request) -> web.Response:
        self.asked.append((request.method, request.headers.get("If-None-Match", "")))
        self.authorization = request.headers.get("Authorization", "")
        if self.faults:
            return await self.faults.pop(0)(request)
        if request.path.endswith("/missing"):
            return web.Response(status=404)
        etag = self.headers.get("ETag")
        if etag and request.headers.get("If-None-Match") == etag:
            return web.Response(status=304, headers=self.headers)
        return web.Response(body=self.body, headers=self.headers)


@pytest.fixture
def site() -> Site:
    return Site()


@pytest.fixture
async def sources(rig: Rig) -> AsyncIterator[HttpSources]:
    found = HttpSources(rig.store.refs, rig.daemon.sessions, Retry(0.001, 0.008))
    yield found
    await found.close()


def source(sources: HttpSources, url: str, attrs: Mapping[str, str] | None = None) -> HttpSource:
    all_attrs = {f"http.{key}": value for key, value in (attrs or {}).items()}
    return sources.open_http(SourceRequest(url, all_attrs))


async def content(rig: Rig, found: HttpSource, *sessions: str) -> tuple[str, bytes, os.stat_result]:
    ref = await found.snapshot(rig.source_context(*sessions))
    assert ref is not None
    async with ref.mounted(readonly=True) as root:
        (file,) = root.iterdir()
        answer = file.name, file.read_bytes(), file.stat()
    await ref.release()
    return answer


async def test_a_file_is_fetched_once(rig: Rig, sources: HttpSources, site: Site) -> None:
    ctx = rig.source_context()
    async with serve(site.app) as host:
        url = f"http://{host}/dir/plain.txt?x=1"
        first = source(sources, url)
        key = await first.key(ctx, 0)
        preimage = f'{{"Filename":"plain.txt","Perm":0,"UID":0,"GID":0,"Checksum":"{SUM}"}}'
        assert (key.key, key.pin) == (digest_of(preimage.encode()), SUM)
        name, data, st = await content(rig, first)
        assert (name, data) == ("plain.txt", BODY)
        assert (stat.S_IMODE(st.st_mode), st.st_uid, st.st_mtime) == (0o600, 0, 0)
        assert site.asked == [("GET", "")]
        again = source(sources, url)
        assert (await again.key(rig.source_context(), 0)).key == key.key
        assert (await content(rig, again))[1] == BODY
        assert site.asked[1:] == [("HEAD", '"one"')]
        site.body, site.headers = b"new", {"ETag": '"two"'}
        # The build goes on with what it found first; the next one sees what is there now.
        assert (await source(sources, url).key(ctx, 0)).key == key.key
        ctx = rig.source_context()
        changed = source(sources, url)
        assert (await changed.key(ctx, 0)).key != key.key
        assert (await content(rig, changed))[1] == b"new"


async def test_attributes(rig: Rig, sources: HttpSources, site: Site) -> None:
    site.headers = {"Last-Modified": "Wed, 01 Jan 2020 10:20:30 GMT"}
    attrs = {"filename": "given.bin", "perm": "0640", "uid": "5", "gid": "7"}
    async with serve(site.app) as host:
        found = source(sources, f"http://{host}/x", attrs)
        key = (await found.key(rig.source_context(), 0)).key
        preimage = (
            f'{{"Filename":"given.bin","Perm":416,"UID":5,"GID":7,"Checksum":"{SUM}",'
            '"LastModTime":"Wed, 01 Jan 2020 10:20:30 GMT"}'
        )
        assert key == digest_of(preimage.encode())
        name, _, st = await content(rig, found)
    assert name == "given.bin"
    assert (stat.S_IMODE(st.st_mode), st.st_uid, st.st_gid) == (0o640, 5, 7)
    assert st.st_mtime == 1577874030


async def test_checksums(rig: Rig, sources: HttpSources, site: Site) -> None:
    async with serve(site.app) as host:
        good = source(sources, f"http://{host}/f", {"checksum": SUM})
        assert (await good.key(rig.source_context(), 0)).pin == SUM
        assert site.asked == []
        assert (await content(rig, good))[1] == BODY
        sha512 = "sha512:" + hashlib.sha512(BODY).hexdigest()
        assert await content(rig, source(sources, f"http://{host}/f", {"checksum": sha512}))
        bad = source(sources, f"http://{host}/f", {"checksum": "sha256:" + "0" * 64})
        with pytest.raises(CrozeError, match=f"digest mismatch {SUM}: sha256:00"):
            await content(rig, bad)


async def test_what_goes_wrong(rig: Rig, sources: HttpSources, site: Site) -> None:
    ctx = rig.source_context()
    async with serve(site.app) as host:
        with pytest.raises(CrozeError, match="invalid response status 404"):
            await source(sources, f"http://{host}/missing").key(ctx, 0)
    port = free_port()
    with pytest.raises(
        Unavailable, match=r'Get "http://xxxxx:xxxxx@.*: connect: connection refused'
    ):
        await source(sources, f"http://u:secret@127.0.0.1:{port}/x").key(ctx, 0)
    with pytest.raises(InvalidRequest, match=r'^strconv.ParseInt: parsing "rwx": invalid syntax$'):
        source(sources, "http://x/y", {"perm": "rwx"})
    for key, value in (("uid", str(1 << 32)), ("gid", "-1")):
        with pytest.raises(InvalidRequest, match=rf'invalid value for http\.{key} "{value}"'):
            source(sources, "http://x/y", {key: value})


async def test_the_authorization_is_a_secret(rig: Rig, sources: HttpSources, site: Site) -> None:
    secrets = SecretsProvider([SecretSource("tok", value=b"Bearer abc\n")])
    async with rig.client(secrets) as session, serve(site.app) as host:
        found = source(sources, f"http://{host}/f", {"authheadersecret": "tok"})
        await found.key(rig.source_context(session.id), 0)
    assert site.authorization == "Bearer abc"


async def test_secrets_named_for_the_host_authorize(
    rig: Rig, sources: HttpSources, site: Site
) -> None:
    header = SecretSource("HTTP_AUTH_HEADER_127.0.0.1", value=b"Basic abc")
    token = SecretSource("HTTP_AUTH_TOKEN_127.0.0.1", value=b"sesame")
    for lent, sent in (([header], "Basic abc"), ([header, token], "Bearer sesame")):
        async with rig.client(SecretsProvider(lent)) as session, serve(site.app) as host:
            await source(sources, f"http://{host}/f", {}).key(rig.source_context(session.id), 0)
        assert site.authorization == sent


async def test_a_secret_goes_over_a_password_in_the_url(
    rig: Rig, sources: HttpSources, site: Site
) -> None:
    token = SecretSource("HTTP_AUTH_TOKEN_127.0.0.1", value=b"sesame")
    for lent, sent in (([], "Basic dTpwdw=="), ([token], "Bearer sesame")):
        async with rig.client(SecretsProvider(lent)) as session, serve(site.app) as host:
            found = source(sources, f"http://u:pw@{host}/f", {})
            await found.key(rig.source_context(session.id), 0)
            assert site.authorization == sent
            await found.key(rig.source_context(session.id), 0)  # with HEAD
        assert site.authorization == sent


async def test_a_named_secret_must_be_there(rig: Rig, sources: HttpSources, site: Site) -> None:
    async with rig.client(SecretsProvider([])) as session, serve(site.app) as host:
        found = source(sources, f"http://{host}/f", {"authheadersecret": "tok"})
        with pytest.raises(CrozeError, match="failed to retrieve HTTP auth secret tok"):
            await found.key(rig.source_context(session.id), 0)


async def test_a_flaky_server(rig: Rig, sources: HttpSources, site: Site) -> None:
    ctx = rig.source_context()
    async with serve(site.app) as host:
        site.faults = [busy, reset, truncated]
        assert (await source(sources, f"http://{host}/f").key(ctx, 0)).pin == SUM
        assert site.faults == []
        assert len([line for line in rig.progress.logs if b"retrying in" in line]) >= 2
        site.faults = [busy] * 9
        with pytest.raises(CrozeError, match="invalid response status 503"):
            await source(sources, f"http://{host}/g").key(ctx, 0)
    await rig.end_builds()
    assert [r for r in await rig.store.refs.disk_usage() if r.in_use] == []


async def test_a_body_that_comes_compressed(rig: Rig, sources: HttpSources, site: Site) -> None:
    site.body, site.headers = gzip.compress(BODY), {"Content-Encoding": "gzip"}
    async with serve(site.app) as host:
        found = source(sources, f"http://{host}/f")
        assert (await found.key(rig.source_context(), 0)).pin == SUM
        assert (await content(rig, found))[1] == BODY


async def test_a_signature(rig: Rig, sources: HttpSources, site: Site, gnupg: GnuPG) -> None:
    key = gnupg.key("me@example.com").decode()
    signature = gnupg.sign("me@example.com", BODY).decode()
    ctx = rig.source_context()
    attrs = {"sig.pubkey": key, "sig.signature": signature, "filename": "named"}
    async with serve(site.app) as host:
        url = f"http://{host}/f"
        plain = (await source(sources, url, {"filename": "named"}).key(ctx, 0)).key
        assert (await source(sources, url, attrs).key(ctx, 0)).key == plain
        assert (await source(sources, url, {**attrs, "checksum": SUM}).key(ctx, 0)).pin == SUM
        forged = gnupg.sign("me@example.com", b"other").decode()
        with pytest.raises(
            CrozeError, match=r"failed to verify pgp signature: signature by .*: op"
        ):
            await source(sources, url, {**attrs, "sig.signature": forged}).key(ctx, 0)
    with pytest.raises(InvalidRequest, match="requires both pubkey and signature"):
        source(sources, "http://x/y", {"sig.pubkey": key})


async def test_checksums_of_another_kind(rig: Rig, sources: HttpSources, site: Site) -> None:
    async with serve(site.app) as host:
        found = source(sources, f"http://{host}/f", {"checksum": SUM})
        checksum = await found.checksum(rig.source_context(), "sha512", b"tail")
    assert checksum == "sha512:" + hashlib.sha512(BODY + b"tail").hexdigest()


async def test_an_upload(rig: Rig, sources: HttpSources) -> None:
    provider = UploadProvider()
    url = provider.add(io.BytesIO(BODY))
    async with rig.client(provider) as session:
        found = source(sources, url, {"filename": "context"})
        ctx = rig.source_context(session.id)
        assert (await found.key(ctx, 0)).pin == SUM
        assert (await content(rig, found, session.id))[:2] == ("context", BODY)
        again = source(sources, url, {"filename": "context"})
        assert (await content(rig, again, session.id))[:2] == ("context", BODY)


async def test_what_a_frontend_asks(rig: Rig, sources: HttpSources, site: Site) -> None:
    site.headers = {"Last-Modified": "Wed, 01 Jan 2020 10:20:30 GMT"}
    git, ctx = (
        GitSources(rig.store.refs, rig.daemon.sessions, rig.images),
        rig.source_context(),
    )
    async with serve(site.app) as host:
        facts = await ask(sources, git, SourceRequest(f"http://{host}/x", {}), ctx)
    assert facts == SourceFacts(None, 1577874030, "x", SUM)
    assert await ask(sources, git, SourceRequest("local://x", {}), ctx) == SourceFacts()
    with pytest.raises(InvalidRequest, match=r"^unknown scheme nonsense: not found$"):
        await ask(sources, git, SourceRequest("nonsense://x", {}), ctx)
    with pytest.raises(InvalidRequest, match=r"^failed to parse nonsense: invalid$"):
        await ask(sources, git, SourceRequest("nonsense", {}), ctx)


def test_names() -> None:
    assert file_name("http://x/a/b%20c", "") == "b c"
    assert file_name("http://x", "") == "download"
    assert file_name("http://x/a", "", 'attachment; filename="../q.txt"') == "q.txt"
    assert file_name("http://x/a", "given", 'attachment; filename="q.txt"') == "given"


@pytest.mark.parametrize(
    ("charset", "told", "name"),
    [
        ("utf-8", "%c3%a9", "\u00e9"),
        ("utf-8", "..%2f..%2fx", "x"),
        ("undefined", "x", "a"),
        ("idna", "%ff", "a"),
        ("unicode_escape", "%5Cud800", "download"),
        ("utf-7", "+2AA-", "download"),
        ("zlib", "x", "x"),
    ],
)
def test_charsets_of_names(charset: str, told: str, name: str) -> None:
    """A server may name any that Python knows."""
    assert file_name("http://x/a", "", f"attachment; filename*={charset}''{told}") == name


async def test_dates_that_are_none(rig: Rig, sources: HttpSources, site: Site) -> None:
    site.headers = {"Last-Modified": f"Mon, 01 Jan {10**20} 00:00:00 GMT"}
    async with serve(site.app) as host:
        _, _, st = await content(rig, source(sources, f"http://{host}/x"))
    assert st.st_mtime == 0


def test_headers_are_part_of_the_key() -> None:
    options = parse_options(
        SourceRequest(
            "https://example.invalid/f",
            {
                "http.authheadersecret": "tok",
                "http.checksum": SUM,
                "http.header.accept": "text/plain",
                "http.header.user-agent": "ua/1",
                "http.header.cookie": "dropped",
            },
        )
    )
    assert options.headers == (("Accept", "text/plain"), ("User-Agent", "ua/1"))
    preimage = (
        f'{{"Filename":"f","Perm":0,"UID":0,"GID":0,"Checksum":"{SUM}","AuthHeaderSecret":"tok",'
        '"Header":[{"Name":"Accept","Value":"text/plain"},{"Name":"User-Agent","Value":"ua/1"}]}'
    )
    assert http_key(options, HttpFile(SUM, "f")) == digest_of(preimage.encode())


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
async def test_trouble_with_the_disk_is_none_of_the_servers(
    rig: Rig,
    sources: HttpSources,
    site: Site,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
) -> None:
    """It is asked once."""

    def append(file: BinaryIO, update: object, data: bytes) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(http_body, "_append", append)
    async with serve(site.app) as host:
        found = source(sources, f"http://{host}/x")
        with pytest.raises((CrozeError, OSError)) as caught:
            await found.key(rig.source_context(), 0)
    assert os.strerror(number).lower() in str(caught.value).lower()
    assert "Get" not in str(caught.value)
    assert len(site.asked) == 1
