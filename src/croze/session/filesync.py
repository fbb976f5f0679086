"""Fetch a directory that a client lends (`moby.filesync.v1.FileSync/DiffCopy`).

Source: BuildKit `session/filesync/filesync.go`. What to send goes in the call's metadata.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import TypeVar
from urllib.parse import quote_plus, unquote_plus

from msgspec import Struct

from croze import errors
from croze.gotypes.strings import to_bytes
from croze.session.contract import MessageStream, Session
from croze.session.receiving import receive_expected, receive_tree
from croze.session.transfer import Expected, OnBytes, Sink

METHOD = "/moby.filesync.v1.FileSync/DiffCopy"

DIR_NAME = "dir-name"
INCLUDE = "include-patterns"
EXCLUDE = "exclude-patterns"
FOLLOW = "followpaths"
ENCODED = "-encoded"

T = TypeVar("T")


class DirRequest(Struct, frozen=True):
    """Which of the client's directories, and what of it."""

    name: str
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    follow_paths: tuple[str, ...] = ()

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """The request as the headers of a `FileSync` call."""
        return (
            *encode(INCLUDE, self.include),
            *encode(EXCLUDE, self.exclude),
            *encode(FOLLOW, self.follow_paths),
            *encode(DIR_NAME, (self.name,)),
        )

    @classmethod
    def of_metadata(cls, metadata: dict[str, list[str]]) -> DirRequest:
        return cls(
            name=(decode(DIR_NAME, metadata) or ("",))[0],
            include=decode(INCLUDE, metadata),
            exclude=decode(EXCLUDE, metadata),
            follow_paths=decode(FOLLOW, metadata),
        )


def encode(key: str, values: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Values as headers: URL-encoded, and marked so, if any of them is not ASCII."""
    if all(value.isascii() for value in values):
        return tuple((key, value) for value in values)
    return (*((key, quote_plus(to_bytes(value))) for value in values), (key + ENCODED, "1"))


def decode(key: str, metadata: dict[str, list[str]]) -> tuple[str, ...]:
    """A header's values, unquoted where the client says that they are quoted. Raises
    `InvalidRequest` for such as no path has."""
    values = metadata.get(key, [])
    marks = metadata.get(key + ENCODED, [""])
    if marks[0].lower() in ("1", "t", "true"):
        values = [unquote_plus(value, errors="surrogateescape") for value in values]
    if any("\0" in value for value in values):
        raise errors.InvalidRequest(f"invalid {key}: a zero byte")
    return tuple(values)


async def receive_dir(
    session: Session, request: DirRequest, sink: Sink[T], on_bytes: OnBytes | None = None
) -> T:
    """Fetch a directory into `sink` (a `fs.sync.receive.Receiver`); returns its outcome.

    `on_bytes` counts what comes over the wire. Raises `errors.NotFound` when the client does not
    lend a directory of this name.
    """
    async with _asked(session, request) as call:
        result = await receive_tree(sink, call.receive, call.send, on_bytes)
        await call.done_sending()
    return result


async def receive_expected_dir(
    session: Session, request: DirRequest, expected: Expected[T], on_bytes: OnBytes | None = None
) -> T:
    """Fetch a directory that may well be as `expected`: then nothing is done for it. Returns what
    `expected`, or its sink, makes of it. Raises as `receive_dir` does."""
    async with _asked(session, request) as call:
        result = await receive_expected(expected, call.receive, call.send, on_bytes)
        await call.done_sending()
    return result


def _asked(session: Session, request: DirRequest) -> AbstractAsyncContextManager[MessageStream]:
    if not session.serves(METHOD):
        raise errors.CrozeError("no local sources enabled")
    return session.calls.stream(METHOD, request.metadata())
