"""What can go wrong with a registry, worded as containerd words it, since tools match on it."""

from __future__ import annotations

import errno
import ssl

from croze.errors import CrozeError, NotFound, PermissionDenied, Unavailable
from croze.files.settings import parse_json
from croze.http.lazy import aiohttp

_LACKS_BLOBS = "manifest blob unknown"
"""Said of a manifest whose blobs were just taken: by registries that somebody else pushes the same
blobs to at this moment, or that tell their parts of it late."""
_X509 = {
    **dict.fromkeys((9, 10), "certificate has expired or is not yet valid"),
    **dict.fromkeys((18, 19, 20, 21), "certificate signed by unknown authority"),
}
"""By OpenSSL's number (x509_vfy.h, `X509_V_ERR_…`)."""


class UnexpectedStatus(CrozeError):
    """The registry answered with a status that nobody asked for."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class AccessRefused(PermissionDenied):
    """The credentials (or none) are not enough."""


class RequestFailed(Unavailable):
    """No answer. `again` says whether asking again may help."""

    def __init__(self, message: str, *, again: bool, tls: bool = False) -> None:
        super().__init__(message)
        self.again = again
        self.tls = tls


def retriable(err: BaseException) -> bool:
    """Whether a later attempt may succeed."""
    if isinstance(err, UnexpectedStatus):
        return err.status >= 500 or _LACKS_BLOBS in str(err)
    return isinstance(err, RequestFailed) and err.again


async def unexpected(response: aiohttp.ClientResponse) -> CrozeError:
    """The error for an answer, with what the registry says about it."""
    url = response.url.with_query(None)
    text = (
        f"unexpected status from {response.method} request to {url}: "
        f"{response.status} {response.reason}"
    )
    try:
        errors = _registry_errors((await response.content.read(64000)).decode("utf-8", "replace"))
    except (aiohttp.ClientError, OSError):
        errors = ""
    text = f"{text}\n{errors}" if errors else text
    if response.status == 403:
        return AccessRefused(text)
    return UnexpectedStatus(text, response.status)


def _registry_errors(body: str) -> str:
    """`{"errors": [{"code", "message"}]}` (OCI distribution-spec, error codes)."""
    try:
        listed = parse_json(body)["errors"]
        lines = [
            f"{str(e.get('code', 'unknown')).lower().replace('_', ' ')}: {e.get('message', '')}"
            for e in listed
        ]
    except (ValueError, TypeError, KeyError, AttributeError):
        return ""
    if len(lines) < 2:
        return "".join(lines)
    return "errors:\n" + "".join(f"{line}\n" for line in lines)


def not_found(ref: object) -> NotFound:
    return NotFound(f"{ref}: not found")


def failed(method: str, url: str, err: Exception) -> RequestFailed:
    """The error for a request without an answer."""
    return no_answer(f'failed to do request: {method.capitalize()} "{url}"', err)


def no_answer(request_line: str, err: Exception) -> RequestFailed:
    """The error for a request without an answer, which is called by its own line."""
    return RequestFailed(f"{request_line}: {reason(err)}", again=_again(err), tls=_is_tls(err))


def reason(err: Exception) -> str:
    if isinstance(err, aiohttp.ClientConnectorDNSError):
        return f"dial tcp: lookup {err.host}: no such host"
    if isinstance(err, ssl.SSLError | aiohttp.ClientSSLError):
        if "WRONG_VERSION_NUMBER" in str(err) or "HTTP_REQUEST" in str(err):
            return "http: server gave HTTP response to HTTPS client"
        return f"tls: {_tls_reason(err)}"
    if isinstance(err, aiohttp.ClientConnectorError):
        return f"dial tcp {err.host}:{err.port}: connect: {_errno_text(err.os_error)}"
    if isinstance(err, aiohttp.ServerDisconnectedError | aiohttp.ClientPayloadError):
        return "unexpected EOF"
    if isinstance(err, TimeoutError):
        return "i/o timeout"
    if isinstance(err, OSError):
        return _errno_text(err)
    return str(err) or type(err).__name__


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
            err.os_error.errno in (errno.ECONNRESET, errno.ETIMEDOUT)
        )
    return isinstance(err, aiohttp.ClientError | OSError | TimeoutError)
