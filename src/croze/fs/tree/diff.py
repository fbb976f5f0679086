"""What changed from one tree to another, in the order and with the rules of layers.

A removed tree is one deletion. An entry is unchanged if type, mode, owner, device and capability
are equal, and for non-directories size and time too; where both times are whole seconds (they may
have been cut by a tar) the content decides.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from enum import Enum
from typing import NamedTuple

from croze.fs.paths import sorted_names
from croze.fs.tree.view import (
    DirectoryView,
    Item,
    capability,
    check_redirect,
    is_opaque,
    is_whiteout,
    raw_items,
)
from croze.fs.tree.walk import walk_stats

_CHUNK = 256 << 10


class ChangeKind(Enum):
    """What has become of a path."""

    ADD = "add"
    MODIFY = "modify"
    DELETE = "delete"
    SAME = "same"
    """Unchanged, but it has other names that may be new."""


class TreeChange(NamedTuple):
    """One change. For deletions `source` and `st` are of what was there or of its whiteout."""

    kind: ChangeKind
    path: str
    source: str
    st: os.stat_result


def changes(lower: str | None, upper: str) -> Iterator[TreeChange]:
    """What leads from the tree `lower` (None: empty) to the tree `upper`, by comparing both."""
    below = (
        DirectoryView([lower], overlay=False)
        if lower is not None
        else DirectoryView((), overlay=False)
    )
    return _compare(below, DirectoryView([upper], overlay=False), "")


def overlay_changes(upperdir: str, lowers: Sequence[str]) -> Iterator[TreeChange]:
    """What an overlay upperdir changes against its lower directories (top first, in overlay
    format themselves). Raises Unsupported for redirected directories."""
    return _upper(upperdir, DirectoryView(lowers, overlay=True), "")


def _upper(directory: str, lower: DirectoryView, prefix: str) -> Iterator[TreeChange]:
    for name, (source, st) in raw_items(directory):
        path = prefix + name
        below = lower.lookup(name) if lower.dirs else None
        if is_whiteout(st):
            if below is not None:
                yield TreeChange(ChangeKind.DELETE, path, source, st)
            continue
        is_dir = stat.S_ISDIR(st.st_mode)
        if is_dir:
            check_redirect(source)
        if below is None:
            yield TreeChange(ChangeKind.ADD, path, source, st)
        elif not same((source, st), below):
            yield TreeChange(ChangeKind.MODIFY, path, source, st)
        if not is_dir:
            continue
        inner = lower.enter(name)
        if below is not None and is_opaque(source):
            yield from _compare(inner, DirectoryView([source], overlay=True), path + "/")
        else:
            yield from _upper(source, inner, path + "/")


def _compare(lower: DirectoryView, upper: DirectoryView, prefix: str) -> Iterator[TreeChange]:
    if not lower.dirs and not upper.overlay:
        for directory in upper.dirs:
            for path, source, st in walk_stats(directory):
                yield TreeChange(ChangeKind.ADD, prefix + path, source, st)
        return
    old = lower.items() if lower.dirs else {}
    new = upper.items()
    names = list(new) if not old else _merge(list(old), list(new))
    for name in names:
        path = prefix + name
        before, after = old.get(name), new.get(name)
        if after is None:
            if before is not None:
                yield TreeChange(ChangeKind.DELETE, path, *before)
            continue
        source, st = after
        is_dir = stat.S_ISDIR(st.st_mode)
        if before is None:
            yield TreeChange(ChangeKind.ADD, path, source, st)
        elif not same(after, before):
            yield TreeChange(ChangeKind.MODIFY, path, source, st)
        elif st.st_nlink > 1 and not is_dir:
            yield TreeChange(ChangeKind.SAME, path, source, st)
        if is_dir:
            both = before is not None and stat.S_ISDIR(before[1].st_mode)
            inner = lower.enter(name) if both else DirectoryView((), overlay=False)
            yield from _compare(inner, upper.enter(name), path + "/")


def _merge(old: list[str], new: list[str]) -> list[str]:
    return sorted_names({*old, *new})


def same(new: Item, old: Item) -> bool:
    """Whether two entries count as equal."""
    (new_path, a), (old_path, b) = new, old
    if a.st_ino == b.st_ino and a.st_dev == b.st_dev:
        return True
    if (a.st_mode, a.st_uid, a.st_gid, a.st_rdev) != (b.st_mode, b.st_uid, b.st_gid, b.st_rdev):
        return False
    is_dir = stat.S_ISDIR(a.st_mode)
    if not is_dir and (a.st_size != b.st_size or a.st_mtime_ns != b.st_mtime_ns):
        return False
    if capability(new_path) != capability(old_path):
        return False
    if is_dir or a.st_mtime_ns % 1_000_000_000:
        return True
    if stat.S_ISLNK(a.st_mode):
        return os.readlink(new_path) == os.readlink(old_path)
    return not a.st_size or not stat.S_ISREG(a.st_mode) or _same_content(new_path, old_path)


def _same_content(a: str, b: str) -> bool:
    with open(a, "rb", buffering=0) as left, open(b, "rb", buffering=0) as right:
        while True:
            one, two = left.read(_CHUNK), right.read(_CHUNK)
            if one != two:
                return False
            if not one:
                return True
