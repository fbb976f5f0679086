"""What can go wrong with a registry, worded as containerd words it, since tools match on it."""

from __future__ import annotations

import contextlib
import errno
import re
import socket
import ssl
from collections.abc import Collection
from pathlib import Path

from croze.errors import Corrupted, CrozeError, NotFound, PermissionDenied, Unavailable
from croze.http.daemon import dialed, encoding_of
from croze.http.encodings import decoded, decoders
from croze.http.lazy import aiohttp
from croze.http.refusals import error_text, errors_in, in_detail, listed
from croze.patterns import lazy_pattern

RESOLV_CONF = Path("/etc/resolv.conf")
_NAMESERVER = lazy_pattern(r"^nameserver[ \t]+([0-9a-fA-F.:]+)", re.M)
_NOT_OPENED = "httpReadSeeker: failed open"
_BODY_BYTES = 64000
_SPEAKS_TLS = "Client sent an HTTP request to an HTTPS server."
"""What servers written in Go say, in an answer to what is no handshake."""
_LACKS_BLOBS = "MANIFEST_BLOB_UNKNOWN"
"""Said of a manifest whose blobs were just taken: by registries that somebody else pushes the same
blobs to at this moment, or that tell their parts of it late."""
_X509 = {
    **dict.fromkeys((9, 10), "certificate has expired or is not yet valid"),
    **dict.fromkeys((18, 19, 20, 21), "certificate signed by unknown authority"),
}
"""By OpenSSL's number (x509_vfy.h, `X509_V_ERR_…`)."""


class UnexpectedStatus(CrozeError):
    """The registry answered with a status that nobody asked for; `codes` are those of the errors in
    its body, `detail` what is told of it in detail."""

    def __init__(
        self, message: str, status: int, codes: Collection[str] = (), detail: str = ""
    ) -> None:
        super().__init__(message)
        self.status = status
        self.codes = codes
        self.detail = detail


class AccessRefused(PermissionDenied):
    """The credentials (or none) are not enough. `detail` is what is told of that in detail."""

    def __init__(self, message: str, detail: str = "") -> None:
        super().__init__(message)
        self.detail = detail


class TokenRefused(AccessRefused):
    """Nor is the token that was given for them."""


class RequestFailed(Unavailable):
    """No answer. `again` says whether asking again may help, `soon` whether that may be at once."""

    def __init__(self, message: str, *, again: bool, tls: bool = False, soon: bool = False) -> None:
        super().__init__(message)
        self.again = again
        self.tls = tls
        self.soon = soon


class BrokenOff(RequestFailed):
    """An answer that has begun, and does not end."""


def retriable(err: BaseException) -> bool:
    """Whether a later attempt may succeed."""
    if isinstance(err, UnexpectedStatus):
        return err.status >= 500 or _LACKS_BLOBS in err.codes
    return isinstance(err, RequestFailed) and err.again


async def unexpected(response: aiohttp.ClientResponse, body: bytes | None = None) -> CrozeError:
    """The error for an answer, with what the registry says about it: in its body, or in that of
    another answer."""
    text = status_line(response, _shown_url(response))
    data = await body_of(response) if body is None else body
    errors = errors_in(data)
    lines = [error_text(each) for each in errors]
    codes = [str(each.get("code") or "") for each in errors]
    detail = in_detail(text, data)
    return _of_status("\n".join([text, *listed(lines)]), response.status, codes, detail)


def detailed(err: CrozeError) -> CrozeError:
    """What an exporter says of an error: of an answer that nobody asked for, what the registry says
    (BuildKit `util/errutil`)."""
    detail = err.detail if isinstance(err, UnexpectedStatus | AccessRefused) else ""
    return err.with_message(detail) if detail else err


async def no_token(response: aiohttp.ClientResponse, url: str, *, has_login: bool) -> CrozeError:
    """The error for an answer of a token server, with what it says in detail for who has given it
    a login (BuildKit `util/errutil`)."""
    text, body = status_line(response, url), await body_of(response)
    if has_login:
        text = in_detail(text, body)
    return _of_status(text, response.status)


def _of_status(text: str, status: int, codes: Collection[str] = (), detail: str = "") -> CrozeError:
    if status == 403:
        return AccessRefused(text, detail)
    return UnexpectedStatus(text, status, codes, detail)


def status_line(response: aiohttp.ClientResponse, url: str) -> str:
    """What is said of an answer that nobody asked for."""
    status = f"{response.status} {response.reason}".rstrip()
    return f"unexpected status from {response.method} request to {url}: {status}"


def _shown_url(response: aiohttp.ClientResponse) -> str:
    """The URL without its query, which may be somebody's signature, but for what a mirror stands
    for."""
    parts = response.url.raw_query_string.split("&")
    namespaces = [part for part in parts if part.startswith("ns=")]
    return "?".join([str(response.url.with_query(None)), *namespaces[:1]])


async def body_of(response: aiohttp.ClientResponse) -> bytes:
    """The beginning of what an answer says, as far as it comes, and can be decoded."""
    body = b""
    with contextlib.suppress(aiohttp.ClientError, OSError, CrozeError):
        chunks = decoded(response.content.iter_any(), decoders(encoding_of(response)))
        async with contextlib.aclosing(chunks) as pieces:
            async for piece in pieces:
                body += piece[: _BODY_BYTES - len(body)]
                if len(body) == _BODY_BYTES:
                    break
    return body


def not_found(ref: object) -> NotFound:
    return NotFound(f"{ref}: not found")


def failed(method: str, url: str, err: Exception) -> RequestFailed:
    """The error for a request without an answer, or with that of a server that speaks TLS: it has
    a body even for HEAD, which no HTTP client reads."""
    if _SPEAKS_TLS in str(err):
        text = f"unexpected status from {method.upper()} request to {url}: 400 Bad Request"
        return RequestFailed(f"{text}: {_SPEAKS_TLS}", again=False)
    return no_answer(f'failed to do request: {method.capitalize()} "{url}"', err)


def no_answer(request_line: str, err: Exception) -> RequestFailed:
    """The error for a request without an answer, which is called by its own line."""
    soon = isinstance(err, aiohttp.ServerDisconnectedError)
    text = f"{request_line}: {reason(err)}"
    return RequestFailed(text, again=_again(err), tls=_is_tls(err), soon=soon)


def broken_off(url: str, err: Exception) -> BrokenOff:
    """The error for an answer that has begun, and does not end."""
    failure = failed("GET", url, err)
    return BrokenOff(str(failure), again=failure.again)


def not_opened(err: CrozeError) -> CrozeError:
    """What a content's reader says that got none of it."""
    has_begun = isinstance(err, BrokenOff | Corrupted)
    return err if has_begun else err.wrap(_NOT_OPENED)


def is_not_opened(err: CrozeError) -> bool:
    """Whether `not_opened` has made this."""
    return str(err).startswith(_NOT_OPENED)


def reason(err: Exception) -> str:
    """Why a request has no answer, in the words of Go's `net/http`, which tools match."""
    if isinstance(err, aiohttp.ClientConnectorDNSError):
        return _lookup_failed(err.host, err.os_error)
    if isinstance(err, ssl.SSLError | aiohttp.ClientSSLError):
        if "WRONG_VERSION_NUMBER" in str(err) or "HTTP_REQUEST" in str(err):
            return "http: server gave HTTP response to HTTPS client"
        return f"tls: {_tls_reason(err)}"
    if isinstance(err, aiohttp.ClientConnectorError):
        return f"dial tcp {dialed(err)}: connect: {_errno_text(err.os_error)}"
    if isinstance(err, aiohttp.ServerDisconnectedError):
        return "EOF" if isinstance(err.message, str) else "unexpected EOF"
    if isinstance(err, aiohttp.ClientPayloadError):
        return "unexpected EOF"
    if isinstance(err, TimeoutError):
        return "i/o timeout"
    if isinstance(err, OSError):
        return _errno_text(err)
    if isinstance(err, aiohttp.ClientHttpProxyError):
        return err.message or str(err.status)
    if isinstance(err, aiohttp.ClientResponseError):  # what follows shows the place, on more lines
        why = err.message.partition("\n")[0].removesuffix(":")
        return f"net/http: HTTP/1.x transport connection broken: {why}"
    return str(err) or type(err).__name__


def _lookup_failed(host: str, err: OSError) -> str:
    """A failed look-up as Go's own resolver tells it, which asks the name server that is named
    first."""
    why = "server misbehaving" if err.errno == socket.EAI_AGAIN else "no such host"
    server = ""
    with contextlib.suppress(OSError, IndexError):
        names = _NAMESERVER.findall(RESOLV_CONF.read_text("utf-8", "replace"))
        server = f"[{names[0]}]" if ":" in names[0] else names[0]
    where = f" on {server}:53" if server else ""
    return f"dial tcp: lookup {host}{where}: {why}"


def _tls_reason(err: Exception) -> str:
    """What is wrong, of a certificate in the words of Go, as far as OpenSSL tells."""
    if isinstance(err, aiohttp.ClientConnectorCertificateError):
        err = err.certificate_error
    if not isinstance(err, ssl.SSLCertVerificationError):
        return str(err)
    complaint = _X509.get(err.verify_code, err.verify_message)
    return f"failed to verify certificate: x509: {complaint}"


def _errno_text(err: OSError) -> str:
    texts = {
        errno.ECONNREFUSED: "connection refused",
        errno.ECONNRESET: "connection reset by peer",
        errno.EHOSTUNREACH: "no route to host",
        errno.ENETUNREACH: "network is unreachable",
        errno.ETIMEDOUT: "connection timed out",
        errno.EPIPE: "broken pipe",
    }
    return texts.get(err.errno or 0) or err.strerror or str(err)


def _is_tls(err: Exception) -> bool:
    return isinstance(err, ssl.SSLError | aiohttp.ClientSSLError)


def _again(err: Exception) -> bool:
    """Broken connections and time-outs; not what can't get better by itself."""
    if isinstance(err, aiohttp.ClientConnectorCertificateError):
        return False
    if isinstance(err, aiohttp.ClientConnectorError | aiohttp.InvalidURL):
        return isinstance(err, aiohttp.ClientConnectorError) and (
            err.os_error.errno in (errno.ECONNRESET, errno.ETIMEDOUT, socket.EAI_AGAIN)
        )
    return isinstance(err, aiohttp.ClientError | OSError | TimeoutError)
