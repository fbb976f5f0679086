"""What every `Source` must do. Subclass with a `place` fixture."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pytest

from croze.errors import InvalidRequest
from croze.sources.contract import Source, SourceContext, SourceFactory, SourceKey
from croze.sources.request import SourceRequest
from croze.store.contract import ImmutableRef
from tests.sources.rig import Rig


@dataclass(frozen=True)
class Place:
    """Where something is: `request` asks for it, and `files` are what comes. `malformed` requests
    are refused by the same factory."""

    factory: SourceFactory
    request: SourceRequest
    files: Mapping[str, bytes]
    malformed: Sequence[SourceRequest] = ()
    sessions: Sequence[str] = ()

    def open(self) -> Source:
        return self.factory.open(self.request)


async def all_keys(source: Source, ctx: SourceContext) -> list[SourceKey]:
    found = [await source.key(ctx, 0)]
    while not found[-1].done:
        found.append(await source.key(ctx, len(found)))
    return found


async def files_of(ref: ImmutableRef | None, sessions: Sequence[str]) -> dict[str, bytes]:
    """And the handle is given back."""
    assert ref is not None
    async with ref.mounted(readonly=True, sessions=sessions) as root:
        files = {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}
    await ref.release()
    return files


class SourceSuite:
    """The contract as tests. The rig looks whether anything is left behind."""

    async def test_its_scheme_is_its_factorys(self, place: Place) -> None:
        assert place.request.identifier.partition("://")[0] in place.factory.schemes

    async def test_what_is_malformed_is_refused_before_anybody_is_asked(self, place: Place) -> None:
        for request in place.malformed:
            with pytest.raises(InvalidRequest):
                place.factory.open(request)

    async def test_a_key_stays_the_same(self, rig: Rig, place: Place) -> None:
        """When it is asked for again, of another source of the same request, in another build."""
        ctx, source = rig.source_context(*place.sessions), place.open()
        keys = await all_keys(source, ctx)
        assert keys == await all_keys(source, ctx)
        assert keys == await all_keys(place.open(), ctx)
        assert keys == await all_keys(place.open(), rig.source_context(*place.sessions))
        assert all(key.key for key in keys)
        assert source.used(keys[-1].pin).material is not None

    async def test_every_handle_is_the_callers(self, rig: Rig, place: Place) -> None:
        ctx, source = rig.source_context(*place.sessions), place.open()
        await all_keys(source, ctx)
        first, second = await source.snapshot(ctx), await source.snapshot(ctx)
        assert await files_of(first, place.sessions) == place.files
        assert await files_of(second, place.sessions) == place.files

    async def test_two_at_once_get_the_same(self, rig: Rig, place: Place) -> None:
        async def bring() -> dict[str, bytes]:
            ctx, source = rig.source_context(*place.sessions), place.open()
            await all_keys(source, ctx)
            return await files_of(await source.snapshot(ctx), place.sessions)

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(bring()) for _ in range(2)]
        assert [task.result() for task in tasks] == [place.files] * 2

    async def test_who_is_cancelled_leaves_nothing(self, rig: Rig, place: Place) -> None:
        ctx, source = rig.source_context(*place.sessions), place.open()
        await all_keys(source, ctx)
        for turns in range(0, 40, 8):
            work = asyncio.ensure_future(source.snapshot(ctx))  # noqa: TID251 - owned right here
            for _ in range(turns):
                await asyncio.sleep(0)
            work.cancel()
            (ended,) = await asyncio.gather(work, return_exceptions=True)
            if not isinstance(ended, BaseException):
                assert await files_of(ended, place.sessions) == place.files
        assert await files_of(await source.snapshot(ctx), place.sessions) == place.files
