"""The way in: `croze.connect` and `croze.build`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Unpack

from croze.sdk.options import BuildArguments, Context

if TYPE_CHECKING:
    from croze.progress.events import Event
    from croze.sdk.builder import Builder
    from croze.sdk.portal import Portal
    from croze.sdk.results import Result
    from croze.sdk.sync import SyncBuilder


def connect(builder: str = "") -> Connection:
    """A builder to work with: `with` it for plain calls, `async with` it for coroutines.

    `builder` is the name of one (as `croze ls` has them), a docker context's, or where a daemon
    listens (`unix://…`, `tcp://…`): a `crozed`, a `buildkitd`, the one in a Docker engine. Without
    a name it is the one that the `croze` command would use. What is not running and can be started
    is. Builds that are still running when the block ends are waited for; if it ends with an
    exception, they are cancelled.
    """
    return Connection(builder)


def build(
    context: Context = ".",
    *,
    builder: str = "",
    progress: str = "quiet",
    on_event: Callable[[Event], None] | None = None,
    **options: Unpack[BuildArguments],
) -> Result:
    """Build one image, and return when it is done; see `Builder.build` for the options. Raises
    `croze.CrozeError`."""
    with connect(builder) as connected:
        return connected.build(context, progress=progress, on_event=on_event, **options)


class Connection:
    """What `connect` returns; used once."""

    def __init__(self, builder: str) -> None:
        self._name = builder
        self._opened: AbstractAsyncContextManager[Builder] | None = None
        self._portal: Portal | None = None

    async def __aenter__(self) -> Builder:
        from croze.sdk.builder import opened

        self._opened = opened(self._name)
        return await self._opened.__aenter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._opened is not None
        await self._opened.__aexit__(kind, error, trace)

    def __enter__(self) -> SyncBuilder:
        from croze.sdk.portal import Portal
        from croze.sdk.sync import SyncBuilder

        portal = Portal()
        portal.keeps = self  # a notebook may keep nothing but the builder
        portal.__enter__()
        try:
            builder = portal.call(self.__aenter__())
        except BaseException:
            portal.__exit__(None, None, None)
            raise
        self._portal = portal
        return SyncBuilder(builder, portal)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._portal is not None
        if self._portal.forked:
            return  # what is open is the other process's
        try:
            self._portal.call(self.__aexit__(kind, error, trace))
        finally:
            self._portal.__exit__(None, None, None)
