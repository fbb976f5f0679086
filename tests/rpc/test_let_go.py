"""What is left of a call that has failed."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest

from croze.aio.once import Once
from croze.errors import InvalidRequest
from croze.rpc.library import grpc
from croze.rpc.servers import aborting


class Request:
    """As large as a message may be."""


class Aborted:
    """As much of a call's context as failing needs."""

    async def abort(self, code: grpc.StatusCode, message: str, trailer: object) -> None:
        self.message = message
        raise grpc.aio.AbortError


async def test_a_request_that_failed_goes_without_the_collector() -> None:
    """Who asked for something that is remembered to have failed, in tasks of a group, is known by
    the error, and the error by them: a few hundred requests of megabytes would wait together."""
    requests: list[weakref.ref[Request]] = []

    async def serve(context: Aborted) -> None:
        request = Request()
        requests.append(weakref.ref(request))

        async def fail() -> None:
            try:
                raise ValueError(request)
            except ValueError as error:
                raise InvalidRequest("no such thing") from error

        once = Once(fail)
        async with aborting(context), asyncio.TaskGroup() as group:  # type: ignore[arg-type]
            group.create_task(once.get())

    gc.collect()
    gc.disable()
    try:
        context = Aborted()
        with pytest.raises(grpc.aio.AbortError):
            await serve(context)
        await asyncio.sleep(0)
        assert context.message == "no such thing"
        assert [each() for each in requests] == [None]
    finally:
        gc.enable()
