"""Many targets built together: all at once, but for those that others are built on.

Source of the order, the prefixes and the texts: buildx `build/build.go`, `util/progress`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from croze.api import control_pb2, gateway_pb2
from croze.client.build import BuildResult, clearer, recorded_provenance
from croze.client.held import Bridge, Work, inputs_of
from croze.client.options import Builder, BuildOptions, planned
from croze.client.plan import SolvePlan
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
        self._links = {name: _links(plan) for name, plan in plans.items()}
        self._awaited = {target for links in self._links.values() for target in links}
        self._answers = {name: _Answer() for name in self._awaited}
        self._failures: list[CrozeError] = []
        self.results: dict[str, TargetResult] = {}

    async def build(self) -> dict[str, TargetResult]:
        for name in sorted(self._awaited - self._plans.keys()):
            raise InvalidRequest(f"failed to find target {name}")
        try:
            async with asyncio.TaskGroup() as group:
                for name in sorted(self._plans):
                    group.create_task(self._build(name))
        except BaseExceptionGroup:
            if not self._failures:
                raise
            raise self._failures[0] from None
        return self.results

    async def _build(self, name: str) -> None:
        try:
            self.results[name] = await self._solve(name)
        except CrozeError as error:
            self._failures.append(_named(error, name, self._plans))
            raise

    async def _solve(self, name: str) -> TargetResult:
        plan = self._plans[name]
        show = self._shows(name)
        links = self._links[name]
        for target, attrs in links.items():
            _link(plan, target, attrs, await self._answers[target].result())
        held = self._hold(name) if name in self._awaited else None
        solved = await self._client.solve(plan, show, work=held)
        for target in links:
            self._answers[target].release(name)
        told: dict[str, object] = {}
        if self._provenance and not plan.internal:
            told = await recorded_provenance(self._client, solved.ref, show)
        return TargetResult(BuildResult(solved.ref, solved.exporter_response), told)

    def _hold(self, name: str) -> Work:
        users = {user for user, links in self._links.items() if name in links}

        async def work(bridge: Bridge) -> gateway_pb2.Result:
            result = await bridge.ask_frontend()
            await self._answers[name].hold(result, users)
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


class _Answer:
    """The answer of a target's frontend, and who is being built on it."""

    def __init__(self) -> None:
        self._result: gateway_pb2.Result | None = None
        self._there = asyncio.Event()
        self._unused = asyncio.Event()
        self._users: set[str] = set()

    async def result(self) -> gateway_pb2.Result:
        await self._there.wait()
        assert self._result is not None
        return self._result

    async def hold(self, result: gateway_pb2.Result, users: set[str]) -> None:
        """Give the answer to its users; ends when they have been built."""
        self._result = result
        self._users = set(users)
        self._there.set()
        await self._unused.wait()

    def release(self, user: str) -> None:
        self._users.discard(user)
        if not self._users:
            self._unused.set()


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
