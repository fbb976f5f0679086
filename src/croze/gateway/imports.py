"""The caches that a build imports: each opened once, before anything is solved with it."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from croze.aio.once import Once
from croze.aio.parallel import Meanwhile
from croze.errors import CrozeError
from croze.solver.caches import CacheSource
from croze.solver.contract import OpContext
from croze.solver.solver import Job

log = logging.getLogger(__name__)


class CacheImport(Struct, frozen=True):
    """A cache by kind and attributes."""

    kind: str
    attrs: Mapping[str, str]

    @property
    def id(self) -> str:
        """What progress calls it: a reference, or the kind with a number of its own."""
        if self.kind == "registry" and self.attrs.get("ref"):
            return self.attrs["ref"]
        text = json.dumps([self.kind, dict(self.attrs)], sort_keys=True)
        number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
        return f"{self.kind}:{number}"


class CacheOpener(Protocol):
    """Opens caches: `remotecache.importer.Importer`."""

    async def __call__(self, cache: CacheImport, session: str, ctx: OpContext) -> list[CacheSource]:
        """Open a cache: what the solver looks keys up in. Raises `CrozeError` for one that can't be
        had."""


class CacheImports:
    """The caches that one build imports. One that can't be had is shown as failed, and the build
    goes on without it. They are opened beside the work of who wants them, by `beside`."""

    def __init__(
        self, job: Job, session: str, opener: CacheOpener | None, beside: Meanwhile
    ) -> None:
        self._job = job
        self._session = session
        self._opener = opener
        self._beside = beside
        self._wanted: dict[str, Once[Sequence[CacheSource]]] = {}

    def want(self, imports: Iterable[CacheImport]) -> None:
        """Import these, too, beginning now; they are looked into after those that were named
        before."""
        for each in imports:
            if each.id not in self._wanted:
                once = self._wanted[each.id] = self._once(each)
                self._beside.begin(once.get())

    @property
    def are_open(self) -> bool:
        """Whether all caches are open, so that `look_into` need not wait."""
        return all(once.value is not None for once in self._wanted.values())

    async def look_into(self) -> None:
        """Wait until all caches are open, and have the job look into them."""
        sources = [source for once in self._wanted.values() for source in await once.get()]
        if sources:
            self._job.look_into(sources)

    def _once(self, cache: CacheImport) -> Once[Sequence[CacheSource]]:
        async def open_it() -> Sequence[CacheSource]:
            try:
                return await self._job.in_context(
                    f"importing cache manifest from {cache.id}", with_progress
                )
            except CrozeError as err:
                log.debug("error while importing cache manifest from %s: %s", cache.id, err)
                return ()

        async def with_progress(ctx: OpContext) -> Sequence[CacheSource]:
            if self._opener is None:
                return ()
            return await self._opener(cache, self._session, ctx)

        return Once(open_it)
