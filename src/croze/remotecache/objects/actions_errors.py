"""What GitHub's cache service says when it refuses, as BuildKit words it."""

from __future__ import annotations

import msgspec

from croze.errors import AlreadyExists, CrozeError
from croze.gotypes import gojson
from croze.remotecache.objects.transfer import ObjectAnswer, refused_as, retry_after_s


class _Said(msgspec.Struct, frozen=True):
    """What is said, in both versions: `typeKey` of the first, `code` of the second (Twirp's
    error)."""

    message: str = ""
    type_key: str = msgspec.field(default="", name="typeKey")
    code: str = ""
    msg: str = ""


class TooMany(CrozeError):
    """The service has had too many requests. `after_s`: when to come again, if it says so."""

    def __init__(self, message: str, after_s: float | None) -> None:
        super().__init__(message)
        self.after_s = after_s


def failure(answer: ObjectAnswer) -> CrozeError:
    """The error for an answer: `AlreadyExists`, `TooMany`, or by its status."""
    text, key = _said(answer)
    if "AlreadyExists" in key or "already exists" in text.lower():
        return AlreadyExists(text)
    if answer.status == 429:
        return TooMany(text, retry_after_s(answer))
    return refused_as(answer, text)


def _said(answer: ObjectAnswer) -> tuple[str, str]:
    """The message, and the kind of error."""
    status = f"{answer.status} {answer.reason}"
    data = answer.body.removeprefix(b"\xef\xbb\xbf")
    shown = data.decode("utf-8", "replace")
    try:
        body = gojson.unmarshal(data, type=_Said)
    except (msgspec.MsgspecError, RecursionError) as err:
        return f"failed to parse error response {answer.status}: {shown}: {err}", ""
    if body.code == "already_exists":
        return body.msg or body.message or body.code, "AlreadyExists"
    if body.message:
        return body.message, body.type_key
    if body.code:
        return body.msg or body.code, body.code
    return f"unknown error {status}: {shown}", ""
