"""`local://`: a directory that a client lends, kept between builds and only brought up to date.

The key (BuildKit `source/local`) is of what was asked for, not of what is there: it is private to
the daemon, and what uses the directory is keyed by its contents.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, ParamSpec, TypeVar

import msgspec
from msgspec import Struct

from croze.aio.threads import abandonable
from croze.errors import AlreadyExists, CrozeError, InvalidRequest, NotFound
from croze.fs.copy import links
from croze.fs.match.patterns import PatternMatcher
from croze.fs.sync.local import SyncOptions, sync
from croze.fs.sync.receive import Receiver
from croze.fs.tree.walk import WalkOptions
from croze.gotypes import gojson
from croze.image.manifest import digest_of
from croze.session.contract import Session, SessionManager
from croze.session.filesync import DirRequest, receive_dir
from croze.session.hostdir import HostDir, open_dir
from croze.session.metadata_only import MetadataSink
from croze.sources.contract import Source, SourceContext, SourceKey
from croze.sources.materials import LocalMaterial, UsedMaterial
from croze.sources.request import SourceRequest
from croze.status import Progress
from croze.store.contract import ImmutableRef, MutableRef, RefStore
from croze.workers.pool import Pool

SCHEME = "local"
CHECKSUMS = "checksums"
"""The side file of a ref that holds its `fs.content.checksum.Index`."""
STATE = "sync-state"
"""The side file with what the last run noted of the directory."""

_SHARED_KEY = "local_shared_key"
_REPORT_EVERY_S = 0.1

P = ParamSpec("P")
T = TypeVar("T")


class LocalOptions(Struct, frozen=True):
    """What the attributes of a local source say. None for lists that were not given."""

    name: str
    session: str = ""
    include: tuple[str, ...] | None = None
    exclude: tuple[str, ...] | None = None
    follow_paths: tuple[str, ...] | None = None
    shared_key_hint: str = ""
    differ: Literal["metadata", "none"] = "metadata"
    metadata_only: bool = False
    metadata_exceptions: tuple[str, ...] | None = None


class _Key(msgspec.Struct, rename="pascal"):
    """Field order is part of the key."""

    session_id: str = msgspec.field(name="SessionID")
    include_patterns: tuple[str, ...] | None
    exclude_patterns: tuple[str, ...] | None
    follow_paths: tuple[str, ...] | None
    metadata_transfer: bool | msgspec.UnsetType = msgspec.UNSET
    metadata_exceptions: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET


def local_key(options: LocalOptions, session: str) -> str:
    """Names what was asked for."""
    fields = _Key(
        session,
        options.include,
        options.exclude,
        options.follow_paths,
        options.metadata_only or msgspec.UNSET,
        options.metadata_exceptions or msgspec.UNSET,
    )
    return f"session:{options.name}:{digest_of(gojson.marshal(fields))}"


def parse_options(request: SourceRequest) -> LocalOptions:
    """Read a source op. Raises `InvalidRequest`."""
    name = request.identifier.partition("://")[2]
    attrs = request.attrs
    session = attrs.get("local.session", "")
    prefix, colon, rest = session.partition(":")
    if colon:
        name, session = f"{prefix}-{name}", rest
    return LocalOptions(
        name,
        session,
        _strings(attrs, "local.includepattern"),
        _strings(attrs, "local.excludepatterns"),
        _strings(attrs, "local.followpaths"),
        attrs.get("local.sharedkeyhint", ""),
        "none" if attrs.get("local.differ") == "none" else "metadata",
        _boolean(attrs, "local.metadatatransfer"),
        _strings(attrs, "local.metadatatransferexclude"),
    )


def _strings(attrs: Mapping[str, str], key: str) -> tuple[str, ...] | None:
    if key not in attrs:
        return None
    try:
        return gojson.unmarshal(attrs[key], type=tuple[str, ...] | None)
    except (msgspec.MsgspecError, RecursionError) as err:
        raise InvalidRequest(f"invalid value for {key}: {err}") from err


def _boolean(attrs: Mapping[str, str], key: str) -> bool:
    text = attrs.get(key, "false")
    if text in ("1", "t", "T", "TRUE", "true", "True"):
        return True
    if text in ("0", "f", "F", "FALSE", "false", "False"):
        return False
    raise InvalidRequest(f'invalid value for {key} "{text}"')


class LocalSource:
    """One client's directory for one vertex."""

    def __init__(
        self, options: LocalOptions, refs: RefStore, sessions: SessionManager, pool: Pool
    ) -> None:
        self._options = options
        self._refs = refs
        self._sessions = sessions
        self._pool = pool

    async def key(self, ctx: SourceContext, index: int) -> SourceKey:
        """See `Source.key`."""
        session = self._options.session or next(iter(ctx.sessions), "")
        if not session:
            raise CrozeError("could not access local files without session")
        key = local_key(self._options, session)
        return SourceKey(key, pin=key.removeprefix(f"session:{self._options.name}:"))

    def used(self, pin: str) -> UsedMaterial:
        """See `Source.used`."""
        return UsedMaterial(LocalMaterial(self._options.name))

    async def snapshot(self, ctx: SourceContext) -> ImmutableRef | None:
        """See `Source.snapshot`."""

        async def use(session: Session) -> ImmutableRef:
            if self._options.metadata_only:
                return await self._list(session, ctx.progress)
            return await self._bring(session, ctx.progress)

        session = await self._named_session(ctx.sessions)
        if session is not None:
            try:
                return await use(session)
            except NotFound:
                if not set(ctx.sessions) - {session.id}:
                    raise
        return await self._sessions.first(ctx.sessions, use)

    async def _named_session(self, others: Sequence[str]) -> Session | None:
        if not self._options.session:
            return None
        try:
            return await self._sessions.get(self._options.session)
        except NotFound:
            if not others or tuple(others) == (self._options.session,):
                raise
            return None

    async def _bring(self, session: Session, progress: Progress) -> ImmutableRef:
        options = self._options
        shared_key = f"{options.name}:{options.shared_key_hint}:{session.shared_key}"
        kept = await self._kept(shared_key)
        ref = kept or await self._refs.new(
            None, description=f"local source for {options.name}", record_type="source.local"
        )
        try:
            if kept is None:
                ref.side_file(links.SIDE_FILE).touch()  # its files are never written in place
            async with ref.mounted(readonly=False) as dest:
                await self._update(session, dest, ref, progress)
            if ref.get_meta(_SHARED_KEY) != shared_key:
                ref.set_meta(**{_SHARED_KEY: shared_key})
            return await ref.commit(retain=True)
        except BaseException:
            # What is half done is known to be so: its notes are gone until a run is complete.
            await asyncio.shield(ref.release())
            raise

    async def _list(self, session: Session, progress: Progress) -> ImmutableRef:
        """What is there, with the contents of a few files; always made anew, as it is small."""
        options = self._options
        # Beside the event loop: there may be very many.
        matcher = await abandonable(PatternMatcher, options.metadata_exceptions or ())
        ref = await self._refs.new(
            None, description=f"local source for {options.name}", record_type="source.local"
        )
        try:
            async with ref.mounted(readonly=False) as dest:
                sink = MetadataSink(dest, Receiver(str(dest)), matcher.matches_or_parent)
                meter = _Meter(progress, options.name)
                await receive_dir(session, self._request(), sink, meter.count)
            return await ref.commit()
        except BaseException:
            await asyncio.shield(ref.release())
            raise

    async def _kept(self, shared_key: str) -> MutableRef | None:
        """A directory that an earlier build left, unless another one is using it."""
        for id in self._refs.find(**{_SHARED_KEY: shared_key}):
            try:
                return await self._refs.get_mutable(id)
            except (NotFound, AlreadyExists):
                continue
        return None

    async def _update(
        self, session: Session, dest: Path, ref: MutableRef, progress: Progress
    ) -> None:
        index, state = str(ref.side_file(CHECKSUMS)), str(ref.side_file(STATE))
        meter = _Meter(progress, self._options.name)
        handle = await open_dir(session, self._options.name)
        if handle is not None:
            with handle:
                meter.done(await self._sync(handle, dest, index, state))
            return
        receiver = Receiver(
            str(dest), state_file=state, index_file=index, differ=self._options.differ
        )
        await receive_dir(session, self._request(), receiver, meter.count)

    async def _sync(self, handle: HostDir, dest: Path, index: str, state: str) -> int:
        """The client is on this host: make our copy equal to its directory."""
        options = self._options
        walk = WalkOptions(options.include or (), options.exclude or (), options.follow_paths or ())
        notes = state if options.differ == "metadata" else None
        result = await self._pool.run(sync, handle.path, str(dest), SyncOptions(walk, index, notes))
        return result.bytes

    def _request(self) -> DirRequest:
        options = self._options
        return DirRequest(
            options.name, options.include or (), options.exclude or (), options.follow_paths or ()
        )


class _Meter:
    """The line `transferring <name>:` with the bytes so far."""

    def __init__(self, progress: Progress, name: str) -> None:
        self._progress = progress
        self._id = f"transferring {name}:"
        self._started = datetime.now(UTC)
        self._last = 0.0
        self._report(0, None)

    def count(self, total: int, last: bool) -> None:
        now = time.monotonic()
        if last:
            self.done(total)
        elif now - self._last >= _REPORT_EVERY_S:
            self._last = now
            self._report(total, None)

    def done(self, total: int) -> None:
        self._report(total, datetime.now(UTC))

    def _report(self, current: int, completed: datetime | None) -> None:
        self._progress.status(
            self._id,
            current=current,
            name="transferring",
            started=self._started,
            completed=completed,
        )


class LocalSources:
    """Opens `local://`."""

    schemes = (SCHEME,)

    def __init__(self, refs: RefStore, sessions: SessionManager, pool: Pool) -> None:
        self._refs = refs
        self._sessions = sessions
        self._pool = pool

    def open(self, request: SourceRequest) -> Source:
        return LocalSource(parse_options(request), self._refs, self._sessions, self._pool)
