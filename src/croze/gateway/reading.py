"""A client's texts (Dockerfiles, ignore files, options) are read in a worker process: they may be
made to take long."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Concatenate, ParamSpec, TypeVar

from croze.dockerfile import asking
from croze.dockerfile.asking import Ask, Facts, Forwarded
from croze.dockerfile.resolver import FrontendResult, Syntax
from croze.dockerfile.work import CPU_S
from croze.errors import CrozeError, ResourceExhausted
from croze.gateway.contract import Bridge
from croze.gateway.conversions import Conversions
from croze.gateway.requests import FrontendRequest
from croze.gateway.resolver import BridgeResolver
from croze.workers.pool import Conversations, TooMuchWork

P = ParamSpec("P")
T = TypeVar("T")

Reading = Callable[Concatenate[Ask, dict[str, str], Facts, P], Awaitable[T]]
"""A module-level function that asks a resolver what it needs to know."""


async def _no_forward(syntax: Syntax) -> Forwarded:
    raise CrozeError(f"nothing is built here: {syntax.image}")


class Readers:
    """Reads in a worker of `workers`, or here without them; `cpu_s` seconds at most."""

    def __init__(self, workers: Conversations | None = None, cpu_s: int = CPU_S) -> None:
        self._workers = workers
        self._cpu_s = cpu_s
        self._conversions = Conversions()

    async def convert(
        self,
        bridge: Bridge,
        request: FrontendRequest,
        forward: Callable[[Syntax], Awaitable[Forwarded]],
    ) -> FrontendResult | None:
        """What the Dockerfile's frontend answers: as it was if nothing has changed. None if
        `forward` has answered. Raises `ResourceExhausted` when it takes too long."""
        answer, facts = _prepared(bridge, request, forward)

        async def run(ask: Ask) -> FrontendResult | None:
            return await self._run(request, ask, facts, asking.build)

        return await self._conversions.converted(request.opts, facts, answer, run, bridge.prefetch)

    async def read(
        self,
        bridge: Bridge,
        request: FrontendRequest,
        forward: Callable[[Syntax], Awaitable[Forwarded]] | None,
        function: Reading[P, T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """What `function` makes of a client's texts, in a worker; what it asks, the bridge answers.
        Raises `ResourceExhausted` when it takes too long."""
        answer, facts = _prepared(bridge, request, forward or _no_forward)
        return await self._run(request, answer, facts, function, *args, **kwargs)

    async def _run(
        self,
        request: FrontendRequest,
        answer: Ask,
        facts: Facts,
        function: Reading[P, T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        opts = dict(request.opts)
        if self._workers is None:
            return await function(answer, opts, facts, *args, **kwargs)
        try:
            return await self._workers.converse(
                answer, self._cpu_s, function, opts, facts, *args, **kwargs
            )
        except TooMuchWork as error:
            raise ResourceExhausted(f"failed to read dockerfile: {error}") from None


def _prepared(
    bridge: Bridge,
    request: FrontendRequest,
    forward: Callable[[Syntax], Awaitable[Forwarded]],
) -> tuple[Ask, Facts]:
    """Who answers the frontend's questions, and what it need not ask."""
    services = bridge.services
    answer = asking.answering(BridgeResolver(bridge, request), forward)
    inputs, platforms = dict(request.inputs), list(services.platforms)
    return answer, Facts(inputs, platforms, services.llb_caps, request.session)
