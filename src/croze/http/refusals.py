"""Why a registry or a token server refuses, as the bodies of its answers tell.

Source: OCI distribution-spec, error codes; the words are containerd's and BuildKit's (its
`util/errutil`), since tools match on them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

from croze.files.settings import parse_json

_SHOWN_BYTES = 256
_MEANINGS = {
    "UNKNOWN": "unknown error",
    "UNSUPPORTED": "The operation is unsupported.",
    "UNAUTHORIZED": "authentication required",
    "DENIED": "requested access to the resource is denied",
    "UNAVAILABLE": "service unavailable",
    "TOOMANYREQUESTS": "too many requests",
}
"""Codes that have a name, with what is not said again of an error that has no more to say
(containerd `core/remotes/docker/errdesc.go`)."""


def in_detail(text: str, body: bytes) -> str:
    """What is told of an answer that nobody asked for, of which `text` says the status: the errors
    in its body, or else how it begins."""
    if errors := errors_in(body):
        return "\n".join(listed([error_text(each, in_detail=True) for each in errors]))
    return f"{text}: {_details(body)}" if body else text


def listed(lines: list[str]) -> list[str]:
    """Errors under a head of their own, but for a single one."""
    return ["errors:", *lines, ""] if len(lines) > 1 else lines


def _details(body: bytes) -> str:
    with contextlib.suppress(ValueError, TypeError, KeyError, AttributeError):
        if details := parse_json(body.decode("utf-8", "replace"))["details"]:
            return str(details)
    rest = len(body) - _SHOWN_BYTES
    more = f"... ({rest} bytes truncated)" if rest > 0 else ""
    return body[:_SHOWN_BYTES].decode("utf-8", "replace") + more


def errors_in(body: bytes) -> list[Mapping[str, object]]:
    """The errors of `{"errors": [{"code", "message", "detail"}]}`; none for another body."""
    try:
        errors = parse_json(body.decode("utf-8", "replace"))["errors"]
        return [each for each in errors if isinstance(each, Mapping)]
    except (ValueError, TypeError, KeyError, AttributeError):
        return []


def error_text(error: Mapping[str, object], *, in_detail: bool = False) -> str:
    """One of those errors, as containerd prints it."""
    code = str(error.get("code") or "")
    code = code if code in _MEANINGS else "UNKNOWN"
    message, detail = str(error.get("message") or ""), error.get("detail")
    if detail is None and message in ("", _MEANINGS[code]):
        return code.lower()
    more = f" - {detail}" if in_detail and detail and isinstance(detail, str) else ""
    return f"{code.lower()}: {message}{more}"
