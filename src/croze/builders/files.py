"""The files of builders below `~/.docker/buildx`, and the lock that buildx takes on them.

    instances/NAME          a builder (`model.BuilderInstance`, JSON)
    current                 {"Key": endpoint, "Name": builder, "Global": bool}
    defaults/HASH           the default builder of an endpoint; HASH is the first 20 hex digits of
                            the endpoint's SHA-256
    activity/NAME           when it last built (RFC 3339, UTC)
    refs/NAME/NODE/ID       builds, removed with their builder or node
    refs/__group__/ID       builds of one `bake`; refs/version: `2`
    .lock                   flock, exclusive, around every transaction

Source: docker/buildx `store/store.go`, `localstate/`. Run as root by `sudo` in a user's own
directory, files stay the user's, as buildx leaves them.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pwd
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import msgspec

from croze.builders.model import BuilderInstance, checked_name
from croze.errors import InvalidRequest, NotFound, os_message
from croze.files.atomic import write_atomically
from croze.files.locks import locked
from croze.files.settings import read_settings
from croze.gotypes import gojson

_DIRECTORIES = ("instances", "defaults", "activity")


class Current(msgspec.Struct, frozen=True, rename="pascal", forbid_unknown_fields=True):
    """The chosen builder: for one endpoint, or (`global_`) whatever the endpoint."""

    key: str = ""
    name: str = ""
    global_: bool = msgspec.field(default=False, name="Global")


class BuilderFiles:
    """One directory of builders. Changes happen inside `transaction`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._owner = _sudo_user(directory)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Alone with the files, other processes (and buildx) kept out until the end."""
        for name in _DIRECTORIES:
            self.make_directory(name)
        with locked(str(self.directory / ".lock")):
            yield Transaction(self)

    def make_directory(self, relative: str) -> None:
        """Make a directory below, with the parents that lack, for the user alone."""
        path = self.directory / relative
        missing = [p for p in (path, *path.parents) if not p.exists()]
        for folder in reversed(missing):
            folder.mkdir(mode=0o700, exist_ok=True)
            self._give(folder)

    def _give(self, path: Path) -> None:
        if self._owner is not None:
            os.chown(path, *self._owner, follow_symlinks=False)

    def write(
        self,
        relative: str,
        data: bytes,
        mode: int = 0o600,
        sync: Callable[[int], None] | None = None,
    ) -> None:
        """Write the whole file or nothing: a reader never sees half a file. `sync` as of
        `write_atomically`."""
        path = self.directory / relative
        write_atomically(path, data, mode, sync)
        self._give(path)


class Transaction:
    """What can be read and changed while the lock is held."""

    def __init__(self, files: BuilderFiles) -> None:
        self._files = files
        self._directory = files.directory

    def builder(self, name: str) -> BuilderInstance | None:
        """A stored builder; None when there is none. Raises `InvalidRequest` for a name that can't
        be one, and for a file that holds something else."""
        path = self._directory / "instances" / checked_name(name)
        try:
            data = _stored(path)
        except FileNotFoundError:
            return None
        return _read(path, data, BuilderInstance)

    def builders(self) -> list[BuilderInstance]:
        """All stored builders, by name."""
        names = sorted(path.name for path in (self._directory / "instances").iterdir())
        builders = (self.builder(name) for name in names if not name.startswith("."))
        return [builder for builder in builders if builder is not None]

    def save(self, builder: BuilderInstance) -> None:
        """Write a builder, in the place of another of its name."""
        name = checked_name(builder.name)
        self.touch(name)
        self._files.write(f"instances/{name}", gojson.marshal(builder))

    def remove(self, name: str) -> None:
        """Remove a builder and all that is kept for it. Nothing happens when there is none."""
        name = checked_name(name)
        self.forget_builds(name)
        for folder in ("activity", "instances"):
            (self._directory / folder / name).unlink(missing_ok=True)

    def forget_builds(self, builder: str, node: str = "") -> None:
        """Remove the references to builds of a builder, or of one node of it."""
        folder = self._directory / "refs" / checked_name(builder)
        if node:
            folder /= checked_name(node)
        for path in folder.rglob("*"):
            self._forget_group(path)
        _remove_files(folder)

    def _forget_group(self, path: Path) -> None:
        """The call of `bake` that a build was of: all its builds were of this builder."""
        try:
            group = gojson.unmarshal(read_settings(path), type=_Remembered).GroupRef
        except (OSError, InvalidRequest, msgspec.MsgspecError, RecursionError):
            return
        if group.isalnum():
            (self._directory / "refs/__group__" / group).unlink(missing_ok=True)

    def touch(self, name: str) -> None:
        """Note that the builder is used now."""
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        self._files.write(f"activity/{checked_name(name)}", now.encode("ascii"))

    def last_activity(self, name: str) -> datetime | None:
        """When the builder was last used; None for never. Raises `InvalidRequest` for a file that
        says something else."""
        path = self._directory / "activity" / name
        try:
            text = _stored(path).decode(errors="backslashreplace")
        except FileNotFoundError:
            return None
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            raise InvalidRequest(f"{path}: line 1: {text!r} is no time (RFC 3339)") from None

    def set_current(self, endpoint: str, name: str, *, anywhere: bool, default: bool) -> None:
        """Choose a builder for an endpoint; `anywhere`, for all; `default`, until changed back."""
        chosen = Current(key=endpoint, name=name, global_=anywhere)
        self._files.write("current", gojson.marshal(chosen))
        if default:
            self._files.write(_default_file(endpoint), name.encode())
        else:
            (self._directory / _default_file(endpoint)).unlink(missing_ok=True)

    def current(self, endpoint: str) -> BuilderInstance | None:
        """The chosen builder of an endpoint, None for the endpoint's own."""
        chosen = self._chosen()
        if chosen.name and (chosen.global_ or chosen.key == endpoint):
            builder = self._known(chosen.name)
            if builder is not None or not chosen.global_:
                return builder
        try:
            data = _stored(path := self._directory / _default_file(endpoint))
        except FileNotFoundError:
            self._reset(endpoint, chosen)
            return None
        try:
            name = data.decode()
        except UnicodeDecodeError:
            raise InvalidRequest(f"{path}: line 1: {data!r} is no builder's name") from None
        self.set_current(endpoint, name, anywhere=False, default=True)
        return self._known(name)

    def _known(self, name: str) -> BuilderInstance | None:
        return self.builder(name) if name else None

    def _reset(self, endpoint: str, chosen: Current) -> None:
        """The last choice was another endpoint's: it no longer holds when that comes back."""
        if chosen != Current(key=endpoint):
            self._files.write("current", gojson.marshal(Current(key=endpoint)))

    def _chosen(self) -> Current:
        path = self._directory / "current"
        try:
            return _read(path, _stored(path), Current)
        except FileNotFoundError:
            return Current()


class _Remembered(msgspec.Struct):
    """The member of a build's file that counts here."""

    GroupRef: str = ""


_Stored = TypeVar("_Stored", BuilderInstance, Current)


def _read(path: Path, data: bytes, kind: type[_Stored]) -> _Stored:
    """The stored value in a file's bytes. Raises `InvalidRequest` with file, line and key."""
    try:
        return gojson.unmarshal(data, type=kind)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise InvalidRequest(f"{path}: line {_line_of(data, str(error))}: {error}") from None


def _stored(path: Path) -> bytes:
    """What is in a file. Raises `FileNotFoundError`, and `InvalidRequest` for one that can't be
    read: it is one builder's trouble."""
    try:
        return read_settings(path)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise InvalidRequest(os_message(error)) from None


def _line_of(data: bytes, message: str) -> int:
    """Where the trouble is: the byte or the key that the decoder names, else the first line."""
    if "truncated" in message:
        return data.count(b"\n") + 1
    if at := re.search(r"byte (\d+)", message):
        return data.count(b"\n", 0, int(at[1])) + 1
    for name in re.findall(r"`\.?([\w.\[\]$]+)`", message):
        key = str(name).rpartition(".")[2].partition("[")[0]
        if (position := data.find(f'"{key}"'.encode())) >= 0:
            return data.count(b"\n", 0, position) + 1
    return 1


def _default_file(endpoint: str) -> str:
    return f"defaults/{hashlib.sha256(endpoint.encode()).hexdigest()[:20]}"


def _remove_files(folder: Path) -> None:
    """A small tree of plain files: references to builds."""
    for directory, folders, names in os.walk(folder, topdown=False):
        for name in names:
            os.unlink(os.path.join(directory, name))
        for name in folders:
            path = os.path.join(directory, name)
            os.unlink(path) if os.path.islink(path) else os.rmdir(path)
    with contextlib.suppress(FileNotFoundError):
        folder.rmdir()


def _sudo_user(directory: Path) -> tuple[int, int] | None:
    """The user and group that called `sudo` with their own home directory kept, if `directory` is
    in it; else None."""
    uid, gid = os.environ.get("SUDO_UID", ""), os.environ.get("SUDO_GID", "")
    if "SUDO_COMMAND" not in os.environ or not (uid.isdecimal() and gid.isdecimal()):
        return None
    try:
        home = pwd.getpwuid(int(uid)).pw_dir
    except KeyError:
        return None
    ours = os.path.expanduser("~") == home and Path(home) in directory.parents
    return (int(uid), int(gid)) if ours else None


def not_found(name: str) -> NotFound:
    return NotFound(f'no builder "{name}" found')
