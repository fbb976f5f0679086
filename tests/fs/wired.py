"""The file-transfer protocol's two ends, wired together without a wire."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from croze.fs.entry import Entry
from croze.fs.sync.mirror import SyncResult
from croze.fs.sync.receive import Receiver
from croze.fs.sync.replay import Replay
from croze.fs.sync.send import Sender


def transfer(source: Path, dest: Path, batch: int = 2, **options: Any) -> SyncResult:
    """Packets come so many at a time."""
    dest.mkdir(exist_ok=True)
    sender = Sender(str(source), reset_owner=True)
    entries = sender.entries()
    told, some, at = _told_again(entries, batch, options)
    if told is not None and not some and told.is_same:
        return SyncResult(0, 0, 0, told.count)
    receiver = Receiver(str(dest), replay=told, **options)
    wanted = []
    while some:
        these = packets(some)
        while at < len(some):
            if (number := receiver.stat(some[at], these[at])) is not None:
                wanted.append(number)
            at += 1
            at += receiver.recall(these, at)
        some = list(islice(entries, batch))
        at = receiver.recall(packets(some), 0)
    for number in reversed(wanted):
        for chunk in sender.chunks(number):
            receiver.data(number, chunk)
        receiver.end(number)
    return replace(receiver.finish(), fingerprint="")


def _told_again(
    entries: Iterator[Entry], batch: int, options: dict[str, Any]
) -> tuple[Replay | None, list[Entry], int]:
    """The entries that come as the last time are taken out; the first batch with others is given
    back, with how many of it are."""
    told = None
    if "state_file" in options and options.get("differ") != "none":
        told = Replay.load(options["state_file"], options["index_file"])
    while some := list(islice(entries, batch)):
        same = told.same_again(packets(some)) if told is not None else 0
        if same < len(some):
            return told, some, same
    return told, [], 0


def packets(entries: Sequence[Entry]) -> list[bytes]:
    return [repr(entry).encode() for entry in entries]


def notes(root: Path) -> dict[str, Any]:
    return {"state_file": str(root / "state"), "index_file": str(root / "index")}
