"""A builder, for programs with an event loop."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Unpack

from croze.aio.parallel import task_group
from croze.client.builds.build import run_build
from croze.client.builds.detached import cancel
from croze.client.builds.result import BuildResult
from croze.client.records import history as past
from croze.drivers.reach import Reach, reaches
from croze.errors import InvalidRequest, NotFound
from croze.progress.display import make_display
from croze.progress.events import Event, Events
from croze.sdk.bake import BakeRequest, bake_options
from croze.sdk.daemons import client_builder
from croze.sdk.home import Home
from croze.sdk.images import Imagetools
from croze.sdk.multinode import build_all, build_on_nodes
from croze.sdk.options import BuildArguments, Context, build_options
from croze.sdk.remember import remembered
from croze.sdk.results import (
    BuildRecord,
    CacheRecord,
    Result,
    cache_record,
    record_of,
    result_of,
)
from croze.sdk.running import Build
from croze.sdk.streams import standard_error

if TYPE_CHECKING:
    from croze.client.connect import Client
    from croze.client.planning.options import BuildOptions
    from croze.progress.display import Display


class Builder:
    """Made by `croze.connect`. Everything raises `croze.CrozeError`.

    `imagetools` looks at images in registries and layouts, and puts them together.
    """

    def __init__(
        self,
        name: str,
        there: Sequence[Reach],
        clients: Sequence[Client],
        group: asyncio.TaskGroup,
    ) -> None:
        self._name = name
        self._there = there
        self._opened = clients
        self._group = group
        self._home = Home()
        self._builds: list[Build[Result] | Build[Mapping[str, Result]]] = []
        self.imagetools = Imagetools(name)

    def build(
        self,
        context: Context = ".",
        *,
        progress: str = "quiet",
        **options: Unpack[BuildArguments],
    ) -> Build[Result]:
        """Start a build of a directory, a URL, or an archive that a binary file gives.

        It runs at once; `await` what this returns for its result. `progress` is what is shown on
        standard error besides: `auto`, `plain`, `tty`, `rawjson` or `quiet`. The options are those
        of `BuildArguments`. Raises `InvalidRequest` for options that make no sense.
        """
        self._home.check()
        described = build_options(context, options)
        display = make_display(progress, standard_error())

        async def work(display: Display) -> Result:
            results = await self._run(described, display)
            return result_of(results, build.warnings)

        build = Build[Result](self._group, work, display)
        self._remember(build)
        return build

    def bake(
        self,
        targets: Sequence[str] = (),
        *,
        files: Sequence[str | os.PathLike[str]] = (),
        variables: Mapping[str, str] | None = None,
        overrides: Sequence[str] = (),
        allow: Sequence[str] = (),
        progress: str = "quiet",
    ) -> Build[Mapping[str, Result]]:
        """Start building targets of a Bake or compose file, all at once; a result for each.

        Without `targets` it is the group or target `default`, without `files` those that `croze
        bake` reads. `overrides` are such as `app.tags=app:1` or `*.push=true`; `allow` is what the
        definition may do besides: `network.host`, `fs.read=/data`, ….
        """
        self._home.check()
        request = BakeRequest(targets, files, variables or {}, overrides, allow)
        display = make_display(progress, standard_error())

        async def work(display: Display) -> Mapping[str, Result]:
            try:
                plan = bake_options(request, display.update)
            except BaseException:
                display.close()
                raise
            built = await build_all(
                self._there,
                plan,
                display,
                self._name,
                names=request.targets,
                provenance=True,
            )
            return {name: result_of(each.result, ()) for name, each in built.items()}

        build = Build[Mapping[str, Result]](self._group, work, display)
        self._remember(build)
        return build

    @property
    def _clients(self) -> Sequence[Client]:
        self._home.check()
        return self._opened

    def _remember(self, build: Build[Result] | Build[Mapping[str, Result]]) -> None:
        """Remember a build: those that run are waited for when the block ends; so is a failure
        nobody has seen."""
        self._builds = [each for each in self._builds if not each.settled] + [build]

    async def _run(self, build: BuildOptions, display: Display) -> BuildResult:
        if len(self._there) > 1:
            return await build_on_nodes(self._there, build, display, self._name)
        there, client = self._there[0], self._clients[0]
        builder = client_builder(there)
        return await run_build(client, remembered(build, there), display, builder=builder)

    async def history(
        self, *, filters: Sequence[str] = (), limit: int = past.LIMIT
    ) -> list[BuildRecord]:
        """Builds on record, the newest first; `filters` as `croze history ls --filter` has them,
        `limit` 0 for all."""
        records: list[past.Record] = []
        for client in self._clients:
            listed = await past.records(client.channel, filters=filters, limit=limit)
            records += listed.records
        records.sort(key=past.created_s, reverse=True)
        return [record_of(each) for each in (records[:limit] if limit else records)]

    async def record(self, ref: str) -> BuildRecord:
        """The record of one build. Raises `NotFound`."""
        return record_of((await self._at(ref))[1])

    async def watch(self, ref: str) -> AsyncIterator[Event]:
        """The events of a build, whoever started it, from the first on; ends when it does."""
        client, _ = await self._at(ref)
        events = Events()
        async for status in past.status(client.channel, ref):
            for event in events.take(status):
                yield event

    async def cancel(self, ref: str) -> None:
        """End a running build, whoever started it; a `crozed` can. Raises `NotFound`."""
        client, _ = await self._at(ref)
        await cancel(client.channel, ref)

    async def forget(self, ref: str) -> None:
        """Remove a build's record. Raises `NotFound`."""
        client, _ = await self._at(ref)
        await past.delete(client.channel, ref)

    async def du(self, *, filters: Sequence[str] = ()) -> list[CacheRecord]:
        """What the cache holds."""
        records = []
        for client in self._clients:
            records += await client.disk_usage(filters)
        return [cache_record(each) for each in records]

    async def prune(
        self,
        *,
        filters: Sequence[str] = (),
        all: bool = False,
        keep_seconds: float = 0,
        reserved_space: int = 0,
        max_used_space: int = 0,
        min_free_space: int = 0,
    ) -> list[CacheRecord]:
        """Remove what is not used; the records that have gone. Spaces in bytes, 0 for no limit;
        what was used in the last `keep_seconds` stays."""
        records = []
        for client in self._clients:
            async for record in client.prune(
                filters,
                all=all,
                keep_duration_s=keep_seconds,
                reserved_space=reserved_space,
                max_used_space=max_used_space,
                min_free_space=min_free_space,
            ):
                records.append(cache_record(record))
        return records

    async def _at(self, ref: str) -> tuple[Client, past.Record]:
        for client in self._clients:
            listed = await past.records(client.channel, ref)
            if listed.records:
                return client, listed.records[0]
        raise NotFound(f'no record found for ref "{ref}"')

    def close(self) -> None:
        """Refuse all that is asked of the builder from now on."""
        self._home.closed = True

    async def finish(self) -> None:
        """Wait for builds that still run."""
        for build in self._builds:
            await build.finish()

    async def cancel_all(self) -> None:
        """Cancel all builds that run, and wait for their ends."""
        for build in self._builds:
            await build.cancel()


@asynccontextmanager
async def opened(name: str) -> AsyncIterator[Builder]:
    """See `croze.connect`."""
    if not isinstance(name, str):
        raise InvalidRequest(f"a builder's name is a string, not {type(name).__name__}")
    async with AsyncExitStack() as stack:
        there = reaches(name or os.environ.get("BUILDX_BUILDER", ""))
        clients = [await stack.enter_async_context(each.dial()) for each in there]
        async with task_group() as group:
            builder = Builder(name, there, clients, group)
            try:
                yield builder
                await builder.finish()
            except BaseException:
                await builder.cancel_all()
                raise
            finally:
                builder.close()
