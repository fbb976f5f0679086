"""A builder, for programs without an event loop."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Unpack

from croze.client import history as past
from croze.sdk.options import BuildArguments, Context

if TYPE_CHECKING:
    from croze.progress.events import Event
    from croze.sdk.builder import Builder
    from croze.sdk.images import RemoteImage
    from croze.sdk.portal import Portal
    from croze.sdk.results import BuildRecord, CacheRecord, Result


class SyncBuilder:
    """`croze.sdk.builder.Builder`, whose methods it has, without `await`. Ctrl-C in one of them
    cancels what it does."""

    def __init__(self, builder: Builder, portal: Portal) -> None:
        self._builder = builder
        self._portal = portal
        self.imagetools = SyncImagetools(builder, portal)

    def build(
        self,
        context: Context = ".",
        *,
        progress: str = "quiet",
        on_event: Callable[[Event], None] | None = None,
        **options: Unpack[BuildArguments],
    ) -> Result:
        """Build, and return the result. `on_event` is called with each event, in another thread."""

        async def build() -> Result:
            running = self._builder.build(context, progress=progress, **options)
            if on_event is not None:
                async for event in running:
                    on_event(event)
            return await running

        return self._portal.call(build())

    def bake(
        self,
        targets: Sequence[str] = (),
        *,
        files: Sequence[str | os.PathLike[str]] = (),
        variables: Mapping[str, str] | None = None,
        overrides: Sequence[str] = (),
        allow: Sequence[str] = (),
        progress: str = "quiet",
    ) -> Mapping[str, Result]:
        async def bake() -> Mapping[str, Result]:
            return await self._builder.bake(
                targets,
                files=files,
                variables=variables,
                overrides=overrides,
                allow=allow,
                progress=progress,
            )

        return self._portal.call(bake())

    def history(self, *, filters: Sequence[str] = (), limit: int = past.LIMIT) -> list[BuildRecord]:
        return self._portal.call(self._builder.history(filters=filters, limit=limit))

    def record(self, ref: str) -> BuildRecord:
        return self._portal.call(self._builder.record(ref))

    def watch(self, ref: str) -> Iterator[Event]:
        events = self._builder.watch(ref)
        while (event := self._portal.call(_next(events))) is not None:
            yield event

    def cancel(self, ref: str) -> None:
        self._portal.call(self._builder.cancel(ref))

    def forget(self, ref: str) -> None:
        self._portal.call(self._builder.forget(ref))

    def du(self, *, filters: Sequence[str] = ()) -> list[CacheRecord]:
        return self._portal.call(self._builder.du(filters=filters))

    def prune(
        self,
        *,
        filters: Sequence[str] = (),
        all: bool = False,
        keep_seconds: float = 0,
        reserved_space: int = 0,
        max_used_space: int = 0,
        min_free_space: int = 0,
    ) -> list[CacheRecord]:
        return self._portal.call(
            self._builder.prune(
                filters=filters,
                all=all,
                keep_seconds=keep_seconds,
                reserved_space=reserved_space,
                max_used_space=max_used_space,
                min_free_space=min_free_space,
            )
        )


async def _next(events: AsyncIterator[Event]) -> Event | None:
    return await anext(events, None)


class SyncImagetools:
    """`croze.sdk.images.Imagetools` without `await`."""

    def __init__(self, builder: Builder, portal: Portal) -> None:
        self._tools = builder.imagetools
        self._portal = portal

    def inspect(self, name: str) -> RemoteImage:
        return self._portal.call(self._tools.inspect(name))

    def create(
        self,
        tags: Sequence[str],
        sources: Sequence[str],
        *,
        annotations: Sequence[str] = (),
        platforms: Sequence[str] = (),
        prefer_index: bool = True,
    ) -> str:
        return self._portal.call(
            self._tools.create(
                tags,
                sources,
                annotations=annotations,
                platforms=platforms,
                prefer_index=prefer_index,
            )
        )
