"""What digests in cache keys are made of, as BuildKit shows it at `/debug/cache/`."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Final

from msgspec import Struct

from croze.cachekeys.texts import DigestText
from croze.gotypes.strings import from_bytes
from croze.patterns import lazy_pattern
from croze.store.digest_texts import DigestTexts

DEEPEST = 100
"""How far down directories are followed."""
MOST = 10_000
"""How much is shown below one digest."""
_FULL: Final = object()
_ROOT = "sha256:8a5edab282632443219e051e4ade2d1d5bbc671c781051bf1437897cbdfea0f1"
_ALWAYS = {_ROOT: DigestText("string", (b"/",))}
"""A selector that is known anyway."""
_DIGEST = lazy_pattern(rb"sha256:[0-9a-f]{64}")
_WORD = lazy_pattern(rb"\bsha256:[0-9a-f]{64}\b")


class TextRecord(Struct):
    """A digest, its text, and those of the digests in it."""

    digest: str
    text: DigestText
    below: list[TextRecord]


def find(texts: DigestTexts | None, digest: str, levels: int = DEEPEST) -> TextRecord | None:
    """The record of a digest; None if nothing is known of it. What is in a text and not known is
    left out, as is what lies so many levels below, or would be more than `MOST` records: a text may
    name another many times, which names a third."""
    return _found(texts, digest, levels, itertools.repeat(None, MOST))


def _found(
    texts: DigestTexts | None, digest: str, levels: int, room: Iterator[None]
) -> TextRecord | None:
    text = _ALWAYS.get(digest) or (texts.get(digest) if texts is not None else None)
    if text is None:
        return None
    below: list[TextRecord] = []
    for each in digests_in(text) if levels else ():
        if next(room, _FULL) is _FULL:
            break
        if (record := _found(texts, each, levels - 1, room)) is not None:
            below.append(record)
    return TextRecord(digest, text, below)


def find_all(texts: DigestTexts | None, digests: Iterable[str]) -> list[TextRecord]:
    """The records of those of which something is known."""
    records = (find(texts, digest) for digest in digests)
    return [record for record in records if record is not None]


def digests_in(text: DigestText) -> Iterator[str]:
    """The digests that the text names, by its kind."""
    data = text.data()
    if text.kind == "string":
        for word in _WORD.findall(data):
            yield word.decode("ascii")
    elif text.kind in ("digest-list", "file-list"):
        for part in data.split(b"\0"):
            at = max(part.rfind(b"sha256:"), 0)
            if _DIGEST.fullmatch(part, at):
                yield part[at:].decode("ascii")


def as_json(record: TextRecord) -> dict[str, object]:
    """The record as Go's encoder has it: frames are data (2) or say how much was left out (3)."""
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
    """The record as text for people, line by line."""
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
