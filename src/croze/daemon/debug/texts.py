"""What digests in cache keys are made of, kept for `/debug/cache/` (`--save-cache-debug`).

As with BuildKit, `cache-debug.db` in the root outlives the daemon, and grows as long as the flag is
given; ours is SQLite. Texts are written some at a time: a `kill -9` loses the last ones.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from msgspec import Struct

from croze.cachekeys.texts import DigestText, noting
from croze.gotypes.strings import from_bytes
from croze.sqlite.database import open_derived, transaction

NAME = "cache-debug.db"
_SCHEMA = (("CREATE TABLE texts (digest TEXT PRIMARY KEY, text BLOB NOT NULL) WITHOUT ROWID",),)
_AT_ONCE = 500
_ROOT = "sha256:8a5edab282632443219e051e4ade2d1d5bbc671c781051bf1437897cbdfea0f1"
_ALWAYS = {_ROOT: DigestText("string", (b"/",))}
"""A selector that is known anyway."""
_DIGEST = re.compile(rb"sha256:[0-9a-f]{64}")
_WORD = re.compile(rb"\bsha256:[0-9a-f]{64}\b")

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(DigestText).decode


class DigestTexts:
    """All that were noted."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._pending: dict[str, DigestText] = {}

    def note(self, digest: str, text: DigestText) -> None:
        self._pending[digest] = text
        if len(self._pending) >= _AT_ONCE:
            self.flush()

    def flush(self) -> None:
        with transaction(self._connection):
            rows = [(digest, _encode(text)) for digest, text in self._pending.items()]
            self._connection.executemany("INSERT OR REPLACE INTO texts VALUES (?, ?)", rows)
        self._pending.clear()

    def get(self, digest: str) -> DigestText | None:
        if digest in self._pending:
            return self._pending[digest]
        query = "SELECT text FROM texts WHERE digest = ?"
        row = self._connection.execute(query, (digest,)).fetchone()
        return None if row is None else _decode(row[0])

    def records(self) -> list[TextRecord]:
        """All, in the order of the digests."""
        self.flush()
        rows = self._connection.execute("SELECT digest FROM texts ORDER BY digest").fetchall()
        found = (find(self, digest) for (digest,) in rows)
        return [record for record in found if record is not None]


@contextmanager
def keeping_texts(root: Path) -> Iterator[DigestTexts]:
    """Note them inside."""
    connection = open_derived(root / NAME, _SCHEMA, what="the database of digests' texts")
    try:
        texts = DigestTexts(connection)
        with noting(texts.note):
            yield texts
        texts.flush()
    finally:
        connection.close()


class TextRecord(Struct):
    """A digest, its text, and those of the digests in it."""

    digest: str
    text: DigestText
    below: list[TextRecord]


def find(texts: DigestTexts | None, digest: str) -> TextRecord | None:
    """None if nothing is known of the digest. What is in a text and not known is left out."""
    text = _ALWAYS.get(digest) or (texts.get(digest) if texts is not None else None)
    if text is None:
        return None
    below = (find(texts, each) for each in digests_in(text))
    return TextRecord(digest, text, [record for record in below if record is not None])


def digests_in(text: DigestText) -> Iterator[str]:
    """Those that the text names, by its kind."""
    data = text.data()
    if text.kind == "string":
        for found in _WORD.findall(data):
            yield found.decode("ascii")
    elif text.kind in ("digest-list", "file-list"):
        for part in data.split(b"\0"):
            at = max(part.rfind(b"sha256:"), 0)
            if _DIGEST.fullmatch(part, at):
                yield part[at:].decode("ascii")


def as_json(record: TextRecord) -> dict[str, object]:
    """As Go's encoder has it: frames are data (2) or say how much was left out (3)."""
    frames = [
        {"type": 2, "data": frame}
        if isinstance(frame, bytes)
        else {"type": 3, "data": frame.to_bytes(4, "little")}
        for frame in record.text.frames
    ]
    members: dict[str, object] = {"digest": record.digest, "type": record.text.kind}
    if frames:
        members["data"] = frames
    if record.below:
        members["subRecords"] = [as_json(each) for each in record.below]
    return members


def as_text(record: TextRecord) -> Iterator[str]:
    """For people."""
    yield f"{record.digest} ({record.text.kind}):\n"
    for each in record.below:
        yield f"  {each.digest} ({each.text.kind}):\n"
    for frame in record.text.frames:
        shown = (
            f"data: {from_bytes(frame)}" if isinstance(frame, bytes) else f"skipping {frame} bytes"
        )
        yield f"  {shown}\n"
    for each in record.below:
        yield "\n"
        yield from as_text(each)
