"""A builder, for programs without an event loop."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Concatenate, Generic, ParamSpec, TypeVar, Unpack

from croze.progress.events import Event
from croze.sdk.builder import Builder
from croze.sdk.images import Imagetools
from croze.sdk.options import BuildArguments, Context
from croze.sdk.portal import Portal
from croze.sdk.results import Result

A = TypeVar("A")
P = ParamSpec("P")
T = TypeVar("T")


class _Sync(Generic[A]):
    """What has methods of `inner` without `await`."""

    def __init__(self, inner: A, portal: Portal) -> None:
        self._inner = inner
        self._portal = portal


def _waiting(
    method: Callable[Concatenate[A, P], Awaitable[T]],
) -> Callable[Concatenate[_Sync[A], P], T]:
    """A method that does the same, and returns what it would have been awaited for."""

    @functools.wraps(method)
    def call(self: _Sync[A], /, *args: P.args, **kwargs: P.kwargs) -> T:
        async def work() -> T:
            return await method(self._inner, *args, **kwargs)

        return self._portal.call(work())

    return call


class SyncBuilder(_Sync[Builder]):
    """`croze.sdk.builder.Builder`, whose methods it has, without `await`. Ctrl-C in one of them
    cancels what it does."""

    def __init__(self, builder: Builder, portal: Portal) -> None:
        super().__init__(builder, portal)
        self.imagetools = SyncImagetools(builder.imagetools, portal)

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
            running = self._inner.build(context, progress=progress, **options)
            if on_event is not None:
                async for event in running:
                    on_event(event)
            return await running

        return self._portal.call(build())

    def watch(self, ref: str) -> Iterator[Event]:
        """The events of a build, whoever started it, from the first on; ends when it does."""
        events = self._inner.watch(ref)
        while (event := self._portal.call(_next(events))) is not None:
            yield event

    bake = _waiting(Builder.bake)
    history = _waiting(Builder.history)
    record = _waiting(Builder.record)
    cancel = _waiting(Builder.cancel)
    forget = _waiting(Builder.forget)
    du = _waiting(Builder.du)
    prune = _waiting(Builder.prune)


async def _next(events: AsyncIterator[Event]) -> Event | None:
    return await anext(events, None)


class SyncImagetools(_Sync[Imagetools]):
    """`croze.sdk.images.Imagetools` without `await`."""

    inspect = _waiting(Imagetools.inspect)
    create = _waiting(Imagetools.create)
