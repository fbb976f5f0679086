"""The client's HTTP client: one request, one small answer. Blocks.

A daemon or a registry may name what is asked, so it speaks http and https, and nothing of what
`urllib.request` opens besides.
"""

from __future__ import annotations

import http.client
import ssl
import urllib.error
from collections.abc import Mapping
from urllib.parse import SplitResult, unquote, urlencode
from urllib.request import (  # noqa: TID251 - with http and https alone
    HTTPHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
)

from msgspec import Struct

from croze.errors import CrozeError, Unavailable, as_own
from croze.files.redact import redact
from croze.http.authorization import basic
from croze.http.encodings import ACCEPTED, decoded_whole
from croze.http.proxies import proxy_for
from croze.http.redirects import (
    MOST_REDIRECTS,
    Hop,
    RedirectRefused,
    check_url,
    is_redirect,
    next_step,
)

TIMEOUT_S = 60
LARGEST_ANSWER_BYTES = 16 << 20


class Answer(Struct, frozen=True):
    """An answer, whatever its status."""

    status: int
    reason: str
    body: bytes


def fetch(
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    form: Mapping[str, str] | None = None,
    limit_bytes: int = LARGEST_ANSWER_BYTES,
    timeout_s: float = TIMEOUT_S,
    tls: ssl.SSLContext | None = None,
) -> Answer:
    """GET, or POST of a form; over TLS as `tls` says, or as the machine does. Raises `Unavailable`
    when there is no answer, `RedirectRefused` for an address that is not of the web or a redirect
    out of https, and `CrozeError` for an answer of more than `limit_bytes`, or of an encoding that
    it can't undo."""
    data = None if form is None else urlencode(form).encode()
    method = "GET" if form is None else "POST"
    step = Hop(method, url, {**ACCEPTED, **(headers or {})}, data is not None)
    try:
        for _ in range(MOST_REDIRECTS + 1):
            with _open(step, data if step.has_body else None, timeout_s, tls) as response:
                location = response.headers.get("Location", "")
                if not is_redirect(response.status, location):
                    return _answer(response, url, limit_bytes)
            step = next_step(step, response.status, location)
    except (OSError, http.client.HTTPException) as error:
        why = error.reason if isinstance(error, urllib.error.URLError) else error
        text = as_own(why) if isinstance(why, Exception) else why
        raise Unavailable(f'{method.capitalize()} "{redact(url)}": {text}') from None
    raise RedirectRefused(f"stopped after {MOST_REDIRECTS} redirects")


def _open(
    step: Hop, data: bytes | None, timeout_s: float, tls: ssl.SSLContext | None
) -> http.client.HTTPResponse:
    parts = check_url(step.url)
    proxy = proxy_for(step.url)
    opener = OpenerDirector()
    handlers = (
        ProxyHandler({parts.scheme: proxy} if proxy else {}),
        HTTPHandler(),
        HTTPSHandler(context=tls),
    )
    for handler in handlers:
        opener.add_handler(handler)
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment="")
    request = Request(bare.geturl(), data, {**_login(parts), **step.headers}, method=step.method)
    response = opener.open(request, timeout=timeout_s)
    assert isinstance(response, http.client.HTTPResponse)
    return response


def _login(parts: SplitResult) -> dict[str, str]:
    if not parts.username:
        return {}
    return basic(unquote(parts.username), unquote(parts.password or ""))


def _answer(response: http.client.HTTPResponse, url: str, limit_bytes: int) -> Answer:
    sent, body = response.read(limit_bytes + 1), bytearray()
    for piece in decoded_whole(sent, response.headers.get("Content-Encoding", "")):
        body += piece
        if len(body) > limit_bytes:
            raise CrozeError(f"the answer from {redact(url)} is larger than {limit_bytes} bytes")
    return Answer(response.status, response.reason, bytes(body))
