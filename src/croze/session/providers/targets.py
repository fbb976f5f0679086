"""Receive results (`moby.filesync.v1.FileSend`): into a file or into a directory.

The call's metadata says which exporter it is for, by its index in the solve request.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol

from msgspec import Struct

from croze import errors
from croze.aio.threads import abandonable, in_thread
from croze.api import filesync_pb2
from croze.files.atomic import NewFile, open_in_place, replaced
from croze.fs.sync.receive import Receiver
from croze.rpc.call import Requests, ServerCall
from croze.session.directories import make_directory
from croze.session.filesend import EXPORTER_ID, METADATA_PREFIX, MULTI_PLATFORM
from croze.session.lent_service import Handler, metadata_of, packets_of, raw_stream
from croze.session.receiving import receive_tree

_DIGITS = 9
"""The most of an exporter's index."""


class TargetFile(Protocol):
    """A file being written; called on threads, one at a time."""

    waits: bool
    """Whether a write may wait for who reads. Then one that is cancelled goes on, and `abort` lets
    it."""

    def write(self, data: bytes, /) -> object:
        """Append bytes."""

    def commit(self) -> None:
        """Finish the file: its content is complete."""

    def abort(self) -> None:
        """Leave nothing behind: the file will not be complete."""


OpenOutput = Callable[[Mapping[str, str]], TargetFile | None]
"""Gets the exporter's metadata; None means that the result is not wanted (it is there)."""


class FileTarget(Struct, frozen=True):
    open: OpenOutput


class DirTarget(Struct, frozen=True):
    path: Path
    delete_extra: bool = False


class TargetsProvider:
    """Answers `DiffCopy` for each exporter by its index."""

    service = "moby.filesync.v1.FileSend"

    def __init__(self, targets: Mapping[int, FileTarget | DirTarget]) -> None:
        self._targets = dict(targets)
        self._files: dict[int, asyncio.Future[int]] = {}

    def opened(self, id: int) -> asyncio.Future[int]:
        """The descriptor of the exporter's file, which is open until its call has ended; -1 for
        what is none that can be lent (see `hostdir`). Who has it writes there in place of sending.
        """
        return self._files.setdefault(id, asyncio.get_running_loop().create_future())

    def _begun(self, id: int) -> asyncio.Future[int]:
        if (last := self._files.get(id)) is not None and last.done():
            del self._files[id]
        return self.opened(id)

    def _ended(self, id: int) -> None:
        """Who asks too late is refused at once."""
        _settle(self.opened(id), -1)
        self._files[id] = asyncio.get_running_loop().create_future()
        self._files[id].set_result(-1)

    def methods(self) -> Mapping[str, Handler]:
        return {"DiffCopy": raw_stream(self._diff_copy)}

    async def _diff_copy(self, messages: Requests[bytes], context: ServerCall) -> None:
        metadata = metadata_of(context)
        id = _exporter_id(metadata)
        match self._targets.get(id):
            case DirTarget() as target:
                if target.delete_extra and "1" not in metadata.get(MULTI_PLATFORM, []):
                    raise errors.CrozeError(
                        "local exporter mode=delete requires a BuildKit daemon with "
                        "multi-platform local export support"
                    )
                await _receive_dir(target, messages, context)
            case FileTarget() as target:
                try:
                    await _receive_file(target, metadata, messages, self._begun(id))
                finally:
                    self._ended(id)
            case None:
                self._ended(id)
                raise errors.CrozeError(f"exporter {id} not found")


def _exporter_id(metadata: Mapping[str, list[str]]) -> int:
    """The index of the exporter that a call is for."""
    value = metadata.get(EXPORTER_ID, ["0"])[0]
    return int(value[:_DIGITS]) if value.isdecimal() else 0


async def _receive_file(
    target: FileTarget,
    metadata: Mapping[str, list[str]],
    messages: Requests[bytes],
    file: asyncio.Future[int],
) -> None:
    about = {
        key.removeprefix(METADATA_PREFIX): ",".join(values)
        for key, values in metadata.items()
        if key.startswith(METADATA_PREFIX)
    }
    outputs: list[TargetFile | None] = []
    try:
        await in_thread(lambda: outputs.append(target.open(about)))
        output = outputs[0]
        if output is None:
            raise errors.AlreadyExists("target already exists")
        _settle(file, output.descriptor if isinstance(output, FileOutput) else -1)
        run = abandonable if output.waits else in_thread
        async for message in messages:
            data = filesync_pb2.BytesMessage.FromString(message).data
            await run(output.write, data)
    except BaseException:
        for output in filter(None, outputs):
            output.abort()
        raise
    await run(output.commit)


def _settle(file: asyncio.Future[int], descriptor: int) -> None:
    if not file.done():
        file.set_result(descriptor)


async def _receive_dir(target: DirTarget, messages: Requests[bytes], context: ServerCall) -> None:
    try:
        make_directory(target.path, 0o700)
    except OSError as error:
        reason = f"mkdir {errors.os_message(error)}"
        message = f"failed to create synctarget dest dir {target.path}: {reason}"
        raise errors.CrozeError(message) from None
    receiver = Receiver(
        os.fspath(target.path),
        merge=not target.delete_extra,
        owner=(os.geteuid(), os.getegid()),
    )
    await receive_tree(receiver, *packets_of(messages, context))


# -- outputs ---------------------------------------------------------------------------------


class FileOutput:
    """A file that appears whole or not at all; a device or a pipe, or a file that nothing may take
    the place of, is written to as it is."""

    def __init__(self, path: Path) -> None:
        target = replaced(path)
        self._path = path
        self._fd = -1
        self._new: NewFile | None = None
        self.waits = target is None
        if target is not None:
            make_directory(target.parent, 0o755)
            with _named(f"open {path}"):
                self._new = NewFile(target)
            self._fd = self._new.fd

    @property
    def descriptor(self) -> int:
        """The descriptor of the file that others may write in our place; -1 for what is no file."""
        return self._new.fd if self._new is not None else -1

    def write(self, data: bytes, /) -> None:
        if self._fd < 0:  # not before: to open a pipe waits for its reader
            with _named(f"open {self._path}"), open_in_place(self._path) as there:
                self._fd = os.dup(there.fileno())
        _write(self._fd, data, os.fspath(self._path))

    def commit(self) -> None:
        if self._new is not None:
            with _named(f"write {self._path}"):
                self._new.take_place()
        elif self._fd >= 0:
            os.close(self._fd)

    def abort(self) -> None:
        if self._new is not None:
            self._new.discard()


class FdOutput:
    """An open file descriptor, such as standard output; it stays open."""

    waits = True

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def write(self, data: bytes, /) -> None:
        _write(self._fd, data, _STANDARD.get(self._fd, f"/dev/fd/{self._fd}"))

    def commit(self) -> None: ...

    def abort(self) -> None: ...


_STANDARD: Final = {1: "/dev/stdout", 2: "/dev/stderr"}


def _write(fd: int, data: bytes, name: str) -> None:
    view = memoryview(data)
    with _named(f"write {name}"):
        while view:
            view = view[os.write(fd, view) :]


@contextmanager
def _named(what: str) -> Iterator[None]:
    """Errors say what was done to the file that somebody asked for, whichever it was done to."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, what) from None
