"""Users and groups by name, from a root's own `/etc/passwd` and `/etc/group`."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

import msgspec

from croze.errors import InvalidRequest, ResourceExhausted
from croze.fs.root import resolve

_MAX_FILE_BYTES = 10 << 20
_MAX_ID = (1 << 31) - 1
_DIGITS = 20
"""The most digits of a number; one of more is out of every range as well."""


class NumericOwner(msgspec.Struct, frozen=True):
    """Numeric user and group."""

    uid: int
    gid: int


class ExecUser(msgspec.Struct, frozen=True):
    """Whom a process runs as."""

    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()
    """Supplementary groups."""
    home: str = ""


class _User(msgspec.Struct, frozen=True):
    name: str
    uid: int
    gid: int
    home: str


class _Group(msgspec.Struct, frozen=True):
    name: str
    gid: int
    members: tuple[str, ...]


class NoSuchOwner(InvalidRequest):
    """A user or a group that a file tree does not know, or a number that none can have."""


def lookup(root: str, spec: str) -> ExecUser:
    """The user for `user[:group]` as `USER` has it: names or numbers; empty is root.

    Raises NoSuchOwner for unknown names ("unable to find user ...").
    """
    user_arg, _, group_arg = spec.partition(":")
    if group_arg and (both := _plain_ids(user_arg, group_arg)):
        return both
    uid = _numeric(user_arg)
    user = _find_user(root, user_arg, uid)
    if user is None and user_arg and uid is None:
        raise NoSuchOwner(f"unable to find user {user_arg}: no matching entries in passwd file")
    entry = user or _User("", uid or 0, 0, "")
    if group_arg:
        return ExecUser(entry.uid, _find_group(root, group_arg), (), entry.home)
    groups = tuple(g.gid for g in _groups(root) if entry.name and entry.name in g.members)
    return ExecUser(entry.uid, entry.gid, groups, entry.home)


def _plain_ids(user: str, group: str) -> ExecUser | None:
    ids = [0 if arg == "root" else _numeric(arg, 2**32 - 1) for arg in (user, group)]
    if ids[0] is None or ids[1] is None:
        return None
    return ExecUser(ids[0], ids[1])


def _numeric(text: str, limit: int = _MAX_ID) -> int | None:
    digits = text[1:] if text[:1] in ("+", "-") else text
    if not digits.isascii() or not digits.isdigit():
        return None
    value = int(text[:_DIGITS])  # Python converts only so many
    if not 0 <= value <= limit:
        raise NoSuchOwner(f"uids and gids must be in range 0-{_MAX_ID}")
    return value


def _find_user(root: str, name: str, uid: int | None) -> _User | None:
    for user in _users(root):
        if user.uid == 0 if not name else user.uid == uid if uid is not None else user.name == name:
            return user
    return None


def _find_group(root: str, name: str) -> int:
    gid = _numeric(name)
    if gid is not None:
        return gid
    for group in _groups(root):
        if group.name == name:
            return group.gid
    raise NoSuchOwner(f"unable to find group {name}: no matching entries in group file")


def file_owner(
    user: str | int | None,
    user_root: str | None,
    group: str | int | None,
    group_root: str | None,
) -> NumericOwner:
    """The owner a file op asks for: ids as they are, names looked up in the roots.

    As in BuildKit a user sets its own group too unless a group is given (for an id, the same
    number), and a name that is not found counts as root.
    """
    uid = gid = 0
    if isinstance(user, int):
        uid = gid = user
    elif user is not None:
        entry = next((u for u in _users(_need(user_root, "user")) if u.name == user), None)
        if entry is not None:
            uid, gid = entry.uid, entry.gid
    if isinstance(group, int):
        gid = group
    elif group is not None:
        match = next((g for g in _groups(_need(group_root, "group")) if g.name == group), None)
        gid = match.gid if match else gid
    return NumericOwner(uid, gid)


def _need(root: str | None, kind: str) -> str:
    if root is None:
        raise InvalidRequest(f"invalid missing {kind} mount")
    return root


def _users(root: str) -> Iterator[_User]:
    for fields in _read(root, "/etc/passwd", 7):
        yield _User(fields[0], _id(fields[2]), _id(fields[3]), fields[5])


def _groups(root: str) -> Iterator[_Group]:
    for fields in _read(root, "/etc/group", 4):
        members = tuple(name for name in fields[3].split(",") if name)
        yield _Group(fields[0], _id(fields[2]), members)


def _id(text: str) -> int:
    return int(text[:_DIGITS]) if text.isascii() and text.isdigit() else 0


def _read(root: str, path: str, width: int) -> Iterator[list[str]]:
    """The lines' fields; nothing if the file is not there."""
    try:
        fd = os.open(resolve(root, path), os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        return
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise InvalidRequest(f"{path} is not a regular file")
    with os.fdopen(fd, "rb") as file:
        data = file.read(_MAX_FILE_BYTES + 1)
    if len(data) > _MAX_FILE_BYTES:
        raise ResourceExhausted(f'"{path}" exceeds {_MAX_FILE_BYTES} bytes')
    for line in os.fsdecode(data).split("\n"):
        text = line.strip()
        if text:
            fields = [field.strip() for field in text.split(":")]
            yield fields + [""] * (width - len(fields))
