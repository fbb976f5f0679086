"""Many targets built together: all at once, but for those that others are built on.

Source of the order, the prefixes and the texts: buildx `build/build.go`, `util/progress`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from croze.aio.parallel import all_of
from croze.api import control_pb2, gateway_pb2
from croze.client.build import BuildResult, clearer, recorded_provenance
from croze.client.held import Bridge, Work, inputs_of
from croze.client.options import Builder, BuildOptions, planned
from croze.client.plan import SolvePlan
from croze.client.shared import share_directories
from croze.errors import CrozeError, InvalidRequest

if TYPE_CHECKING:
    from croze.client.connect import Client
    from croze.progress.display import Display

_LINK = "target:"
Show = Callable[[control_pb2.StatusResponse], None]


@dataclass(frozen=True)
class TargetResult:
    """What came of one target."""

    result: BuildResult
    provenance: dict[str, object] = field(default_factory=dict)

    @property
    def metadata(self) -> dict[str, object]:
        """What the target has in a metadata file."""
        found = self.result.metadata | {"buildx.build.ref": self.result.ref} | self.provenance
        return dict(sorted(found.items()))


async def build_targets(
    client: Client,
    builds: Mapping[str, BuildOptions],
    display: Display,
    *,
    builder: Builder | None = None,
    provenance: bool = False,
    on_close: Callable[[Display], None] | None = None,
) -> dict[str, TargetResult]:
    """Build all; the first failure cancels the rest, and is raised.

    The display, which is closed at the end, has the steps of all targets under their names.
    `provenance`: ask for what a metadata file tells of it.
    """
    from croze.progress.display import running

    plans: dict[str, SolvePlan] = {}
    try:
        for name, options in builds.items():
            try:
                plans[name] = await planned(options, builder)
            except CrozeError as error:
                raise _named(error, name, builds) from None
        async with running(display):
            return await _Targets(client, plans, display, provenance).build()
    except CrozeError as error:
        raise clearer(error, bake=True) from None
    finally:
        for plan in plans.values():
            plan.close()
        if on_close is not None:
            on_close(display)


def _named(error: CrozeError, name: str, targets: Mapping[str, object]) -> CrozeError:
    return error.wrap(f"target {name}") if len(targets) > 1 else error


class _Targets:
    def __init__(
        self, client: Client, plans: Mapping[str, SolvePlan], display: Display, provenance: bool
    ) -> None:
        self._client = client
        self._plans = plans
        self._display = display
        self._provenance = provenance
        self._bases = {name: _links(plan) for name, plan in plans.items()}
        self._users: dict[str, list[str]] = {}
        for name, bases in self._bases.items():
            for base in bases:
                self._users.setdefault(base, []).append(name)
        self._stages = {name: _Stages() for name in plans}

    async def build(self) -> dict[str, TargetResult]:
        for name in sorted(self._users.keys() - self._plans.keys()):
            raise InvalidRequest(f"failed to find target {name}")
        names = sorted(self._plans)
        async with AsyncExitStack() as sessions:
            for id, lent in share_directories(self._plans.values()).items():
                await sessions.enter_async_context(self._client.lent(id, lent))
            results = await all_of(self._build(name) for name in names)
        return dict(zip(names, results, strict=True))

    async def _build(self, name: str) -> TargetResult:
        try:
            return await self._solve(name)
        except CrozeError as error:
            raise _named(error, name, self._plans) from None

    async def _solve(self, name: str) -> TargetResult:
        plan = self._plans[name]
        show = self._shows(name)
        bases = self._bases[name]
        for base, attrs in bases.items():
            _link(plan, base, attrs, await self._stages[base].answer())
        is_linked = bool(bases) or name in self._users
        work = self._work(name) if is_linked else None
        solved = await self._client.solve(plan, show, work=work)
        told: dict[str, object] = {}
        if self._provenance and not plan.internal:
            told = await recorded_provenance(self._client, solved.ref, show)
        return TargetResult(BuildResult(solved.ref, solved.exporter_response), told)

    def _work(self, name: str) -> Work:
        """A target that others are built on, or that is built on others: each has its own session
        at work on what they share, so a base is done before its users begin, and stays until they
        are done."""
        own = self._stages[name]
        bases = [self._stages[each] for each in self._bases[name]]
        users = [self._stages[each] for each in self._users.get(name, ())]

        async def work(bridge: Bridge) -> gateway_pb2.Result:
            result = await bridge.ask_frontend()
            own.give(result)
            for user in users:
                await user.answer()
            for base in bases:
                await base.evaluated.wait()
            await bridge.evaluate(result)
            own.evaluated.set()
            for user in users:
                await user.completed.wait()
            own.completed.set()
            return result

        return work

    def _shows(self, name: str) -> Show:
        if len(self._plans) == 1:
            return self._display.update

        def show(status: control_pb2.StatusResponse) -> None:
            named = control_pb2.StatusResponse()
            named.CopyFrom(status)
            for vertex in named.vertexes:
                vertex.name = prefixed(name, vertex.name)
                if vertex.HasField("progressGroup"):
                    group = vertex.progressGroup
                    group.name = prefixed(name, group.name)
            self._display.update(named)

        return show


class _Stages:
    """How far a linked target is: its frontend has answered, all is done that the answer is made
    of, and so it is for all who use it. (Failures cancel whoever waits.)"""

    def __init__(self) -> None:
        self._answer: gateway_pb2.Result | None = None
        self._answered = asyncio.Event()
        self.evaluated = asyncio.Event()
        self.completed = asyncio.Event()

    def give(self, result: gateway_pb2.Result) -> None:
        self._answer = result
        self._answered.set()

    async def answer(self) -> gateway_pb2.Result:
        await self._answered.wait()
        assert self._answer is not None
        return self._answer


def prefixed(target: str, name: str) -> str:
    """A step's name with its target's."""
    return f"[{target} {name[1:]}" if name.startswith("[") else f"[{target}] {name}"


def _links(plan: SolvePlan) -> dict[str, list[str]]:
    """Attributes by the target whose result they stand for."""
    found: dict[str, list[str]] = {}
    for key, value in sorted(plan.frontend_attrs.items()):
        if key.startswith("context:") and value.startswith(_LINK):
            found.setdefault(value.removeprefix(_LINK), []).append(key)
    return found


def _link(plan: SolvePlan, target: str, attrs: list[str], result: gateway_pb2.Result) -> None:
    for attr in attrs:
        del plan.frontend_attrs[attr]
    found, inputs = inputs_of(target, result, attrs)
    plan.frontend_attrs.update(found)
    plan.frontend_inputs.update(inputs)
