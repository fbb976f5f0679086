"""`type=local` and `type=tar`: the files of a result, at the client.

Source: BuildKit `exporter/local`, `exporter/tar`. A client on the same host hands over its
directory and gets the files without a transfer.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Literal

from msgspec import Struct

from croze.aio.parallel import all_of
from croze.errors import InvalidRequest
from croze.export import attestations
from croze.export.contract import ExportContext, ExportServices, ExportSource, PlatformResult
from croze.export.options import Epoch, parse_epoch_attr, source_epoch
from croze.export.place import place_tree
from croze.export.statements import attestation_files
from croze.export.trees import MergedTree, StaticFile, TreePart
from croze.fs.sync.send import Sender
from croze.fs.tar.write import write_trees
from croze.fs.temporary import temporary_directory
from croze.gotypes.booleans import checked_bool
from croze.gotypes.quote import quote
from croze.image import platform as platforms
from croze.session.contract import Session
from croze.session.filesend import FileWriter, file_writer, send_dir
from croze.session.hostdir import open_target
from croze.status import Progress, step
from croze.workers.pool import Pool

Mode = Literal["copy", "delete"]

_REPORT_EVERY_S = 0.1
_PIPE_BYTES = 1 << 20


class FilesOptions(Struct, frozen=True):
    """What the attributes say. `platform_split` None: only if there are several platforms."""

    epoch: Epoch | None = None
    attestation_prefix: str = ""
    platform_split: bool | None = None
    mode: Mode = "copy"

    def split(self, source: ExportSource) -> bool:
        """Whether each platform has a folder of its own."""
        return source.multi_platform if self.platform_split is None else self.platform_split

    def epoch_of(self, source: ExportSource, result: PlatformResult) -> datetime | None:
        """The time that a platform's files get, or None if they keep theirs: the exporter's
        attribute comes before what the build was made with."""
        if self.epoch is not None:
            return self.epoch.value
        return source_epoch(source.metadata, result.key)


def parse_options(attrs: Mapping[str, str]) -> FilesOptions:
    """What the attributes of `type=local` or `type=tar` say. Raises `InvalidRequest`."""
    epoch = parse_epoch_attr(attrs)
    split: bool | None = None
    if (text := attrs.get("platform-split")) is not None:
        split = checked_bool(text, f"non-bool value for platform-split: {text}")
    mode = attrs.get("mode", "").strip().lower() or "copy"
    if mode not in ("copy", "delete"):
        raise InvalidRequest(f"invalid local exporter mode {quote(attrs['mode'])}")
    return FilesOptions(
        epoch,
        attrs.get("attestation-prefix", ""),
        split,
        "delete" if mode == "delete" else "copy",
    )


class MountedTree(Struct, frozen=True):
    """One platform's files, mounted."""

    key: str
    root: str
    files: tuple[StaticFile, ...]
    folder: str
    epoch: datetime | None

    def part(self) -> TreePart:
        mtime_ns = _nanoseconds(self.epoch)
        tree = Sender(self.root, mtime_ns=mtime_ns)
        return TreePart(self.key, tree, self.files, self.folder, mtime_ns)


@contextlib.asynccontextmanager
async def mounted(
    source: ExportSource, options: FilesOptions, ctx: ExportContext, pool: Pool, *, split: bool
) -> AsyncIterator[list[MountedTree]]:
    """All platforms' trees, mounted while inside, with their attestations as files."""
    if not source.multi_platform and len(source.results) > 1:
        raise InvalidRequest("unable to export multiple platforms without map")
    async with AsyncExitStack() as stack:
        trees = []
        for result in source.results:
            root = await _root(stack, result, ctx)
            named = source.multi_platform and not options.split(source)
            files = await attestation_files(
                attestations.wanted(result, inline=False),
                root,
                prefix=options.attestation_prefix,
                platform=_folder(result) if named else "",
                sessions=ctx.sessions,
                pool=pool,
            )
            folder = _folder(result) if split else ""
            epoch = options.epoch_of(source, result)
            trees.append(MountedTree(_key(result), root, files, folder, epoch))
        yield trees


async def _root(stack: AsyncExitStack, result: PlatformResult, ctx: ExportContext) -> str:
    if result.ref is None:
        return stack.enter_context(temporary_directory("empty"))
    mount = result.ref.mounted(readonly=True, sessions=ctx.sessions)
    return str(await stack.enter_async_context(mount))


def _key(result: PlatformResult) -> str:
    return result.key or platforms.format_all(platforms.normalize(result.platform))


def _folder(result: PlatformResult) -> str:
    return _key(result).replace("/", "_")


def _nanoseconds(when: datetime | None) -> int | None:
    return int(when.timestamp()) * 1_000_000_000 if when is not None else None


class LocalExporter:
    """See `Exporter`: into a directory of the client."""

    name = "exporting to client directory"

    def __init__(self, options: FilesOptions, services: ExportServices) -> None:
        self._options = options
        self._services = services

    async def export(self, source: ExportSource, ctx: ExportContext) -> Mapping[str, str]:
        """See `Exporter.export`."""
        session = await self._services.sessions.get(ctx.session)
        split = self._options.split(source)
        async with mounted(source, self._options, ctx, self._services.pool, split=split) as trees:
            together = self._options.mode == "delete" or (len(trees) > 1 and not split)
            if together:
                await self._send(session, ctx, "copying files", trees)
            else:
                await all_of(self._one(session, ctx, tree, split=split) for tree in trees)
        return {}

    async def _one(
        self, session: Session, ctx: ExportContext, tree: MountedTree, *, split: bool
    ) -> None:
        label = f"copying files {tree.key}" if split else "copying files"
        handle = await open_target(session, int(ctx.id or 0))
        if handle is None:
            await self._send(session, ctx, label, [tree])
            return
        with handle:
            async with step(ctx.progress, label):
                files = [(file.name, file.data, file.mode) for file in tree.files]
                stamp = _nanoseconds(tree.epoch)
                await self._services.pool.run(
                    place_tree, tree.root, handle.path, tree.folder, files, stamp
                )

    async def _send(
        self, session: Session, ctx: ExportContext, label: str, trees: Sequence[MountedTree]
    ) -> None:
        now_ns = int(time.time()) * 1_000_000_000
        merged = MergedTree([tree.part() for tree in trees], mtime_ns=now_ns)
        meter = _Meter(ctx.progress, label)
        whole = self._options.mode == "delete"
        await send_dir(session, int(ctx.id or 0), merged, meter.count, multi_platform=whole)


class TarExporter:
    """See `Exporter`: one tar stream to the client. Several platforms are always split."""

    name = "exporting to client tarball"

    def __init__(self, options: FilesOptions, services: ExportServices) -> None:
        self._options = options
        self._services = services

    async def export(self, source: ExportSource, ctx: ExportContext) -> Mapping[str, str]:
        """See `Exporter.export`."""
        session = await self._services.sessions.get(ctx.session)
        split = source.multi_platform
        async with (
            mounted(source, self._options, ctx, self._services.pool, split=split) as trees,
            step(ctx.progress, "sending tarball"),
            file_writer(session, int(ctx.id or 0)) as file,
        ):
            await self._send(trees, file)
        return {}

    async def _send(self, trees: Sequence[MountedTree], file: FileWriter) -> None:
        """A worker process writes the tar into a pipe, we pass it on."""
        epoch = trees[0].epoch
        seconds = int(epoch.timestamp()) if epoch is not None else None
        now = int(time.time()) if seconds is None else seconds
        files = [
            (f"{tree.folder}/{each.name}".lstrip("/"), each.data, each.mode, now)
            for tree in trees
            for each in tree.files
        ]
        roots = [(tree.folder, tree.root) for tree in trees]
        if file.lent is not None:
            path = file.lent.path
            await self._services.pool.run(write_trees, path, roots, epoch=seconds, files=files)
            return
        async with worker_pipe() as (path, finished, reader):

            async def write() -> None:
                try:
                    await self._services.pool.run(
                        write_trees, path, roots, epoch=seconds, files=files
                    )
                finally:
                    finished()

            async def send() -> None:
                while data := await reader.read(_PIPE_BYTES):
                    await file.write(data)

            await all_of([write(), send()])


@contextlib.asynccontextmanager
async def worker_pipe() -> AsyncIterator[tuple[str, Callable[[], None], asyncio.StreamReader]]:
    """A pipe that a worker process writes to by path; the second value closes our own writing
    end, after which the reader comes to the end."""
    read_fd, write_fd = os.pipe()
    open_ends = {write_fd}
    with contextlib.suppress(OSError):
        fcntl.fcntl(write_fd, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)

    def finished() -> None:
        if open_ends:
            os.close(open_ends.pop())

    reader = asyncio.StreamReader(limit=_PIPE_BYTES)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(read_fd, "rb", buffering=0)
    )
    try:
        yield f"/proc/{os.getpid()}/fd/{write_fd}", finished, reader
    finally:
        finished()
        transport.close()


class _Meter:
    """A line of progress with the bytes so far."""

    def __init__(self, progress: Progress, label: str) -> None:
        self._progress = progress
        self._label = label
        self._started = datetime.now(UTC)
        self._last = 0.0
        self._report(0, None)

    def count(self, total: int, last: bool) -> None:
        now = time.monotonic()
        if last or now - self._last >= _REPORT_EVERY_S:
            self._last = now
            self._report(total, datetime.now(UTC) if last else None)

    def _report(self, current: int, completed: datetime | None) -> None:
        self._progress.status(
            self._label,
            current=current,
            name="transferring",
            started=self._started,
            completed=completed,
        )
