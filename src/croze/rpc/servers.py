"""What servicers share: any error ends a call with its status."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias, TypeVar

from croze import errors
from croze.aio.parallel import root_cause
from croze.rpc.call import CallBroken, ServerCall
from croze.rpc.library import grpc
from croze.rpc.status import DETAILS_KEY, NUMBERS, to_status

log = logging.getLogger(__name__)

R = TypeVar("R")

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
"""The context of any call, whatever its messages."""


async def abort(context: Context | ServerCall, error: BaseException, *, plain: bool = True) -> None:
    """End a call with the status of `error`. Always raises."""
    status = to_status(error, plain=plain)
    trailer = ((DETAILS_KEY, status.SerializeToString()),) if status.details else ()
    await context.abort(NUMBERS[status.code], status.message, trailer)


@asynccontextmanager
async def aborting(context: Context | ServerCall, *, plain: bool = True) -> AsyncIterator[None]:
    """End a call with the status of any error that is raised inside. A cancellation that comes from
    the peer goes on; one from within is reported as `CANCELLED`.

    With `plain` the code is `UNKNOWN`, as BuildKit's own services have it for nearly all; without
    where peers look at the code: the services of containerd, and those of a session.
    """
    try:
        yield
    except (grpc.aio.AbortError, CallBroken, GeneratorExit):
        raise  # what ends a call in the server's own eyes
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        await abort(context, error, plain=plain)
    except BaseException as error:
        cause = root_cause(error)
        if isinstance(cause, KeyboardInterrupt | SystemExit | grpc.aio.AbortError | CallBroken):
            raise
        if not isinstance(cause, errors.CrozeError | grpc.RpcError | OSError):
            log.error("call failed", exc_info=error)
        try:
            await abort(context, cause, plain=plain)
        finally:
            del cause
            _let_go(error)


def _let_go(error: BaseException) -> None:
    """Forget where an error comes from that has been told, and what led to it. The functions that
    it has come through know it, too, and all that they knew, such as a request of megabytes, would
    stay in memory until Python's collector finds that."""
    rest, seen = [error], set[int]()
    while rest:
        each = rest.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        each.__traceback__ = None
        rest += [other for other in (each.__cause__, each.__context__) if other is not None]
        if isinstance(each, BaseExceptionGroup):
            rest += each.exceptions


S = TypeVar("S")

Q = TypeVar("Q")


def unary(
    method: Callable[[S, Q, Context], Awaitable[R]],
) -> Callable[[S, Q, Context], Awaitable[R]]:
    """Decorator of a servicer's method with one answer: `aborting` around it."""
    return _unary(method, plain=True)


def coded_unary(
    method: Callable[[S, Q, Context], Awaitable[R]],
) -> Callable[[S, Q, Context], Awaitable[R]]:
    """`unary` for peers that look at the code."""
    return _unary(method, plain=False)


def _unary(
    method: Callable[[S, Q, Context], Awaitable[R]], *, plain: bool
) -> Callable[[S, Q, Context], Awaitable[R]]:
    @functools.wraps(method)
    async def call(self: S, request: Q, context: Context) -> R:
        async with aborting(context, plain=plain):
            return await method(self, request, context)
        raise AssertionError("aborting always raises")

    return call
