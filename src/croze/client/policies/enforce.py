"""The policies of a build, in force while it runs.

Source of the order and the words: buildx `build/opt.go` (configureSourcePolicy).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from croze.client.plan import SolvePlan
from croze.client.policies.files import PolicyFiles
from croze.client.policies.log import PolicyLog
from croze.client.policies.signatures import verifier
from croze.client.policies.source_resolver import SourceResolver, source_resolver
from croze.client.solving.lending import check_lendable
from croze.client.solving.solve import OnStatus, PolicySession, solve
from croze.errors import CrozeError, NotFound, PolicyDetail, Unsupported
from croze.image import platform as platforms
from croze.policy import work
from croze.policy.contract import PolicyFile, Setup
from croze.policy.decision import EXEC_PROXY
from croze.policy.evaluator import Answering, Policy
from croze.policy.options import PolicyPlan, WantedFile, WantedPolicy
from croze.policy.session import PolicyProvider
from croze.rpc.channel import Channel
from croze.rpc.held import Work
from croze.workers.pool import WorkerPool

MOST_BYTES = 4 << 20
"""The largest policy file."""
_SESSION, _PROXY = "source.policy.session", "exec.meta.network.proxy"


@asynccontextmanager
async def in_force(
    channel: Channel, plan: SolvePlan, on_status: OnStatus | None
) -> AsyncIterator[PolicySession | None]:
    """The policies of a build, answering while inside; None if there are none after all. Raises
    `CrozeError` for policies that can't be loaded."""
    policy = plan.policy
    assert policy is not None
    show = on_status or (lambda _: None)
    own = SolvePlan(internal=True, secrets=plan.secrets, ssh=plan.ssh)
    check_lendable(own)  # sooner than it is the policy's file that can't be read for it
    own.docker_auth = plan.docker_auth

    async def begin(work: Work) -> object:
        return await solve(channel, own, show, work=work)

    async with source_resolver(begin) as sources:
        files = PolicyFiles(policy.place, sources)
        loaded = await _load(policy, files)
        if not loaded:
            yield None
            return
        async with WorkerPool(1, spare=1, modules=work.MODULES) as workers:
            making = _Making(policy, workers, files, sources)
            async with _logged(making, loaded, show) as session:
                yield session


class _Making:
    """What all policies of a build share."""

    def __init__(
        self, plan: PolicyPlan, workers: WorkerPool, files: PolicyFiles, sources: SourceResolver
    ) -> None:
        self.plan, self.sources = plan, sources
        self._workers, self._files = workers, files

    def policy(
        self, request: WantedPolicy, files: tuple[PolicyFile, ...], log: PolicyLog
    ) -> Policy:
        level = self.plan.log_level if request.log_level is None else request.log_level

        def say(of: int, message: str) -> None:
            if of <= level:
                log.say(message)

        setup = Setup(files, self.plan.env, platforms.format(platforms.default_platform()))
        answering = Answering(self._files, self.sources, verifier(), say)
        return Policy(self._workers, setup, answering)


_Loaded = list[tuple[WantedPolicy, tuple[PolicyFile, ...]]]


@asynccontextmanager
async def _logged(making: _Making, loaded: _Loaded, show: OnStatus) -> AsyncIterator[PolicySession]:
    names = [file.name for _, files in loaded for file in files]
    log = PolicyLog(f"loading policies {', '.join(names)}", show)
    provider: PolicyProvider | None = None
    blamed: CrozeError | None = None
    try:
        policies: list[Policy] = []
        proxy = False
        for request, files in loaded:
            policies.append(making.policy(request, files, log))
            if request.asks_caps:
                proxy |= await _wants_proxy(policies[-1], making.sources)
            if request.strict:
                await _need(
                    making.sources,
                    _SESSION,
                    "strict policy is not supported by the current BuildKit daemon, please "
                    "upgrade to version v0.27+",
                )
        if proxy:
            log.say("policy enabled network proxy")
        provider = PolicyProvider(policies)
        yield PolicySession(provider, proxy)
    except CrozeError as error:
        denied = any(isinstance(each, PolicyDetail) and each.messages for each in error.details)
        if denied or (provider is not None and provider.has_denied(error)):
            blamed = error
        raise
    finally:
        log.close(blamed)


async def _wants_proxy(policy: Policy, sources: SourceResolver) -> bool:
    try:
        caps = await policy.caps()
    except CrozeError as error:
        raise error.wrap("failed to evaluate policy caps") from None
    if not caps.get(EXEC_PROXY):
        return False
    await _need(
        sources,
        _PROXY,
        "network proxy requested by policy is not supported by the current BuildKit daemon, "
        "please upgrade to version v0.31+",
    )
    return True


async def _need(sources: SourceResolver, capability: str, message: str) -> None:
    if capability not in await sources.capabilities():
        raise Unsupported(message)


async def _load(plan: PolicyPlan, files: PolicyFiles) -> _Loaded:
    loaded: _Loaded = []
    for request in plan.policies:
        texts = [each for file in request.files if (each := await _file(file, files)) is not None]
        if texts:
            loaded.append((request, tuple(texts)))
    return loaded


async def _file(request: WantedFile, files: PolicyFiles) -> PolicyFile | None:
    """A policy's file; None if it isn't there and need not be."""
    if request.text is not None:
        return PolicyFile(request.name, request.text)
    try:
        data = await files.read(request.name, MOST_BYTES + 1)
    except NotFound:
        if request.optional:
            return None
        raise NotFound(f"policy file {request.name} not found") from None
    except CrozeError as error:
        raise error.wrap(f"failed to stat policy file {request.name}") from None
    if len(data) > MOST_BYTES:
        raise CrozeError(f"policy file {request.name} is larger than {MOST_BYTES >> 20} MiB")
    return PolicyFile(request.name, data.decode(errors="replace"))
