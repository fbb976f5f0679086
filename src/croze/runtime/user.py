"""Who a process runs as: names are looked up in the container's own `/etc/passwd` and
`/etc/group` (formats: passwd(5), group(5))."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from croze.errors import InvalidRequest
from croze.fs.root import open_beneath

MAX_FILE_BYTES = 10 << 20
MAX_ID = 2**31 - 1


@dataclass(frozen=True)
class User:
    """Ids of a process; `groups` are the supplementary ones."""

    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()


def _lines(root: Path, path: str) -> Iterator[Sequence[str]]:
    """Colon fields of each line; nothing when there is no such regular file."""
    try:
        fd = open_beneath(str(root), path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return
    with os.fdopen(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return
        data = file.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise InvalidRequest(f'"{path}" exceeds {MAX_FILE_BYTES} bytes')
    for line in data.decode("utf-8", "surrogateescape").splitlines():
        if line.strip() and not line.startswith("#"):
            yield line.strip().split(":")


def _number(text: str) -> int | None:
    """A decimal id, or None for a name. Raises for ids out of range."""
    if not text.isascii() or not text.removeprefix("-").isdigit():
        return None
    value = int(text)
    if not 0 <= value <= MAX_ID:
        raise InvalidRequest("uids and gids must be in range 0-2147483647")
    return value


def _field_number(fields: Sequence[str], index: int) -> int:
    try:
        return int(fields[index])
    except (IndexError, ValueError):
        return 0


def _passwd(root: Path, who: str) -> tuple[str, int, int] | None:
    """(name, uid, gid) of the first entry with this name, or this number as uid."""
    number = _number(who)
    for fields in _lines(root, "/etc/passwd"):
        uid = _field_number(fields, 2)
        if fields[0] == who or (number is not None and uid == number):
            return fields[0], uid, _field_number(fields, 3)
    return None


def _groups_of(root: Path, name: str) -> Iterator[int]:
    for fields in _lines(root, "/etc/group"):
        if len(fields) > 3 and name in fields[3].split(","):
            yield _field_number(fields, 2)


def _group(root: Path, who: str) -> int:
    number = _number(who)
    for fields in _lines(root, "/etc/group"):
        gid = _field_number(fields, 2)
        if fields[0] == who or (number is not None and gid == number):
            return gid
    if number is None:
        raise InvalidRequest(f"unable to find group {who}: no matching entries in group file")
    return number


def _both_numbers(user: str) -> User | None:
    """`uid:gid` needs no file; `root` counts as 0 on either side."""
    uid_text, colon, gid_text = user.partition(":")
    numbers = [0 if part == "root" else _number(part) for part in (uid_text, gid_text)]
    uid, gid = numbers
    if not colon or uid is None or gid is None:
        return None
    return User(uid, gid)


def lookup(root: Path, user: str) -> User:
    """`user` is a name or uid, optionally with `:` and a group's name or gid; empty is root.

    Raises `errors.InvalidRequest` when a name has no entry.
    """
    if quick := _both_numbers(user):
        return quick
    who, _, group = (user or "0").partition(":")
    entry = _passwd(root, who or "0")
    if entry is None:
        number = _number(who)
        if number is None:
            raise InvalidRequest(f"unable to find user {who}: no matching entries in passwd file")
        entry = ("", number, 0)
    name, uid, gid = entry
    if group:
        return User(uid, _group(root, group))
    return User(uid, gid, tuple(_groups_of(root, name)) if name else ())
