"""Directories of clients that earlier builds have left: each is found to be as it was, or brought
up to date.

While nobody writes to it, a kept directory is an immutable ref, which any number of builds may have
at once. Who finds a difference takes it for writing, which no two can; who finds it in use makes
another one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from msgspec import Struct

from croze.aio.threads import finish
from croze.errors import AlreadyExists, NotFound
from croze.fs.copy import links
from croze.store.contract import ImmutableRef, MutableRef, RefStore, WriteRest

CHECKSUMS: Final = "checksums"
"""The side file of a ref that holds its `fs.content.index.ContentIndex`."""
STATE: Final = "sync-state"
"""The side file with what the last run noted of the directory."""
PACK: Final = "pack"
"""The side file of a new directory from which its files may be written later."""
MOST: Final = 8
"""How many are looked at: clients that tell nothing apart have one key for all directories."""

_SHARED_KEY: Final = "local_shared_key"
_FINGERPRINT: Final = "local_fingerprint"
"""The key of the list of it in short: finds it among any number of others."""


class KeptCandidate(Struct, frozen=True):
    """A directory that was left. `id` is that of the mutable record."""

    id: str
    state: str
    index: str


class KeptTarget(Struct, frozen=True):
    """A directory that is open for writing."""

    id: str
    dest: Path
    state: str
    index: str
    pack: str | None
    """For a new directory: see `fs.sync.late`."""


class KeptDir:
    """What one transfer ends in. To be used as `async with`: `give` hands it out, and what is not
    given is released at the end."""

    def __init__(self, refs: RefStore, name: str, shared_key: str) -> None:
        self._refs = refs
        self._name = name
        self._shared_key = shared_key
        self._held: dict[str, ImmutableRef] = {}
        self._mutable: MutableRef | None = None
        self._chosen: ImmutableRef | None = None
        self._given: ImmutableRef | None = None
        self._fingerprint: str | None = None
        self._rest: WriteRest | None = None
        self._mount = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # What is half done is known to be so: its notes are gone until a run is complete.
        try:
            await finish(self._close())
        except BaseException as failure:
            error = failure
            raise
        finally:
            if error is not None and self._given is not None:  # nobody gets it
                await finish(self._given.release())

    async def _close(self) -> None:
        await self._mount.aclose()
        await self._let_go()
        for ref in (self._chosen, self._mutable):
            if ref is not None:
                await ref.release()

    async def _let_go(self) -> None:
        held, self._held = self._held, {}
        for ref in held.values():
            await ref.release()

    def candidates(self) -> Iterator[KeptCandidate]:
        """What is there, that which was used last first. Each is held as it comes, so that nobody
        else writes to it, until one is chosen, or written to."""
        yield from self._found(self._refs.find(**{_SHARED_KEY: self._shared_key})[:MOST])

    def alike(self, fingerprint: str) -> Iterator[KeptCandidate]:
        """Directories of which the same was told the last time; held like `candidates`."""
        if fingerprint:
            meta = {_SHARED_KEY: self._shared_key, _FINGERPRINT: fingerprint}
            yield from self._found(self._refs.find(**meta))

    def _found(self, ids: Sequence[str]) -> Iterator[KeptCandidate]:
        for id in ids:
            ref = self._held.get(id) or self._refs.get_retained(id, uses=False)
            if ref is not None:
                self._held[id] = ref
                yield KeptCandidate(id, str(ref.side_file(STATE)), str(ref.side_file(CHECKSUMS)))

    async def choose(self, candidate: KeptCandidate) -> None:
        """Take a candidate that is as it was: nothing need be written."""
        # Not by the id of what is written: that is gone if another build has it as a layer by now.
        self._chosen = await self._refs.get(self._held[candidate.id].id)
        await self._let_go()

    async def writable(self, near: str = "") -> KeptTarget:
        """The candidate of this id for writing if it is to be had, else another directory."""
        await self._let_go()
        ref = await self._take(near)
        is_new = ref is None
        self._mutable = ref = ref or await self._new()
        dest = await self._mount.enter_async_context(ref.mounted(readonly=False))
        state, index = str(ref.side_file(STATE)), str(ref.side_file(CHECKSUMS))
        return KeptTarget(ref.id, dest, state, index, str(ref.side_file(PACK)) if is_new else None)

    async def _take(self, near: str) -> MutableRef | None:
        """A directory that an earlier build left, unless another one is using it: if it is not this
        one, then one that nobody has wanted for long."""
        ids = self._refs.find(**{_SHARED_KEY: self._shared_key})
        for id in [near, *(id for id in reversed(ids) if id != near)][:MOST]:
            try:
                return await self._refs.get_mutable(id)
            except (NotFound, AlreadyExists):
                continue
        return None

    async def _new(self) -> MutableRef:
        ref = await self._refs.new(
            None, description=f"local source for {self._name}", record_type="source.local"
        )
        ref.side_file(links.SIDE_FILE).touch()  # its files are never written in place
        return ref

    @property
    def pack(self) -> str:
        """The file from which what was open for writing may be written later."""
        assert self._mutable is not None
        return str(self._mutable.side_file(PACK))

    def written(self, fingerprint: str | None, rest: WriteRest | None = None) -> None:
        """What was told of the directory that was open for writing, if it was told. `rest` writes
        its files, if they are not there yet."""
        self._fingerprint, self._rest = fingerprint, rest

    async def give(self) -> ImmutableRef:
        """What was chosen, or what was written, which is complete now."""
        self._given, self._chosen = self._chosen, None
        if self._given is not None:
            return self._given
        ref = self._mutable
        assert ref is not None, "choose one, or write to one"
        await self._mount.aclose()
        meta = {_SHARED_KEY: self._shared_key}
        if self._fingerprint is not None:
            meta[_FINGERPRINT] = self._fingerprint
        if any(ref.get_meta(key) != value for key, value in meta.items()):
            ref.set_meta(**meta)
        self._given = await ref.commit(retain=True, rest=self._rest)
        self._mutable = None
        return self._given
