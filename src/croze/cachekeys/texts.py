"""What the digests in cache keys are made of, noted while somebody wants to know
(`--save-cache-debug`; BuildKit's `util/cachedigest`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Literal

from msgspec import Struct

from croze.digests import digest_of

Kind = Literal["json", "string", "string-list", "digest-list", "file-list", "file"]


class DigestText(Struct, frozen=True):
    """The bytes that a digest was made of, as far as they are kept, and their kind."""

    kind: Kind
    frames: tuple[bytes | int, ...]
    """The bytes as they came; a number stands for so many that are not kept."""

    def data(self) -> bytes:
        """The frames that are kept, one behind the other."""
        return b"".join(frame for frame in self.frames if isinstance(frame, bytes))


Note = Callable[[str, DigestText], None]

_notes: list[Note] = []


@contextmanager
def noting(note: Note) -> Iterator[None]:
    """Give each digest, with its text, to `note` while inside."""
    _notes.append(note)
    try:
        yield
    finally:
        _notes.remove(note)


def wanted() -> bool:
    return bool(_notes)


def note(digest: str, text: DigestText) -> None:
    for each in _notes:
        each(digest, text)


def noted_digest(data: bytes, kind: Kind) -> str:
    """The digest of `data`, given to those who note digests, if there are any."""
    digest = digest_of(data)
    if _notes:
        note(digest, DigestText(kind, (data,)))
    return digest


def noted_list_digest(texts: Iterable[str], kind: Kind) -> str:
    """`noted_digest` of texts with a zero byte between them."""
    return noted_digest(b"\0".join(t.encode("utf-8", "surrogateescape") for t in texts), kind)
