"""The cache mounts of a `crozed`: looked at, written to caches, merged from them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import TypeAlias

from croze.aio.threads import in_thread
from croze.api import cachemounts_pb2 as wire
from croze.api.attrs import to_attrs
from croze.api.cachemounts_pb2_grpc import CacheMountsStub
from croze.client.layouts.local_caches import finish_caches, prepare_caches
from croze.client.plan import CacheSpec, SolvePlan
from croze.client.solving.solve import lent
from croze.errors import CrozeError, NotFound, Unsupported
from croze.rpc.channel import Channel
from croze.rpc.library import grpc
from croze.rpc.status import from_rpc_error

Mount = wire.CacheMount
_Call: TypeAlias = "grpc.aio.UnaryStreamCall[wire.MoveCacheMountsRequest, wire.Said]"
Say = Callable[[str, bool], None]
"""Hears what goes on: a line, and whether it is a warning."""


async def mounts(channel: Channel, names: Sequence[str] = ()) -> list[Mount]:
    """The cache mounts with these names, or all. Raises `NotFound`; `Unsupported` from another
    daemon."""
    request = wire.ListCacheMountsRequest(names=names)
    try:
        return list((await CacheMountsStub(channel).List(request)).mounts)
    except grpc.aio.AioRpcError as error:
        raise _translated(error) from None


async def remove(channel: Channel, names: Sequence[str] = ()) -> list[str]:
    """Remove cache mounts; the names of those that are gone. Raises `InvalidRequest` for one in
    use."""
    request = wire.RemoveCacheMountsRequest(names=names)
    try:
        return list((await CacheMountsStub(channel).Remove(request)).ids)
    except grpc.aio.AioRpcError as error:
        raise _translated(error) from None


async def export_to(channel: Channel, names: Sequence[str], cache: CacheSpec, say: Say) -> None:
    """Write mounts to a cache that holds nothing else."""
    plan = SolvePlan(cache_to=[cache])
    manifest = ""
    await in_thread(prepare_caches, plan)
    async with lent(channel, plan) as session:
        call = CacheMountsStub(channel).Export(_request(names, cache, session.id))
        async for answer in _answers(call):
            manifest = answer.manifest.decode() or manifest
            if answer.text:
                say(answer.text, answer.warning)
    await finish_caches(plan, {"cache.manifest": manifest})


async def import_from(channel: Channel, names: Sequence[str], cache: CacheSpec, say: Say) -> None:
    """Merge a cache's mounts into those that are there. Raises `NotFound` for a local cache that
    is none."""
    plan = SolvePlan(cache_from=[cache])
    await in_thread(prepare_caches, plan)
    if not plan.cache_from:
        raise NotFound(f"there is no cache in {cache.attrs.get('src', '')}")
    async with lent(channel, plan) as session:
        call = CacheMountsStub(channel).Import(_request(names, cache, session.id))
        async for answer in _answers(call):
            if answer.text:
                say(answer.text, answer.warning)


def _request(names: Sequence[str], cache: CacheSpec, session: str) -> wire.MoveCacheMountsRequest:
    return wire.MoveCacheMountsRequest(
        names=names, type=cache.type, attrs=to_attrs(cache.attrs), session=session
    )


async def _answers(call: _Call) -> AsyncIterator[wire.Said]:
    try:
        async for answer in call:
            yield answer
    except grpc.aio.AioRpcError as error:
        raise _translated(error) from None
    finally:
        call.cancel()


def _translated(error: grpc.aio.AioRpcError) -> CrozeError:
    if error.code() is grpc.StatusCode.UNIMPLEMENTED:
        return Unsupported("this daemon is not a crozed: it shows no cache mounts")
    return from_rpc_error(error)
