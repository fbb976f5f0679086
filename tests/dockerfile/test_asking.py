"""The frontend as a worker runs it, and the daemon that answers, without a worker between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from croze.dockerfile.asking import Facts, Forwarded, answering, build, named
from croze.dockerfile.resolver import FrontendResult, Syntax
from croze.errors import CrozeError, InvalidRequest
from croze.gateway.caps import LLB_ENABLED
from croze.status import VertexWarning
from tests.golden.stub_resolver import StubResolver

LABS_ONLY = "# syntax=x/y\nFROM alpine\nRUN --device=vendor.example/class=a true\n"
"""What is refused unless what is still in the labs is asked for."""


@dataclass
class Daemon(StubResolver):
    """Remembers warnings."""

    warned: list[str] = field(default_factory=list)

    async def warn(self, warnings: Sequence[VertexWarning]) -> None:
        self.warned += [warning.short for warning in warnings]


def daemon(text: str) -> Daemon:
    return Daemon(text.encode(), "dockerfile", "Dockerfile")


async def built(world: Daemon, forwarded: Forwarded) -> FrontendResult | None:
    """The answer, where the frontend that `# syntax=` names is found to be that."""

    async def forward(syntax: Syntax) -> Forwarded:
        assert syntax.image == "x/y"
        return forwarded

    return await build(answering(world, forward), {}, facts(world))


def facts(world: Daemon, caps: frozenset[str] = LLB_ENABLED) -> Facts:
    return Facts({}, list(world.worker_platforms()), caps, world.session)


async def test_a_line_that_names_this_frontend_is_built_here() -> None:
    answer = await built(daemon("# syntax=x/y\nFROM alpine\n"), Forwarded(here=True))
    assert answer is not None
    assert list(answer.definitions) == [""]


async def test_what_is_in_the_labs_is_there_for_who_asks_for_it() -> None:
    answer = await built(daemon(LABS_ONLY), Forwarded(here=True, labs=True))
    assert answer is not None
    assert list(answer.definitions) == [""]
    with pytest.raises(CrozeError, match=r"only supported in .*-labs"):
        await built(daemon(LABS_ONLY), Forwarded(here=True))


async def test_what_another_frontend_has_answered_is_not_answered_here() -> None:
    assert await built(daemon("# syntax=x/y\nFROM alpine\n"), Forwarded(here=False)) is None


async def test_warnings_reach_the_daemon() -> None:
    world = daemon("# syntax=x/y\nfrom alpine AS Upper\n")
    await built(world, Forwarded(here=True))
    assert any("StageNameCasing" in short for short in world.warned)


async def test_a_daemon_that_can_do_nothing_is_told_of() -> None:
    async def forward(syntax: Syntax) -> Forwarded:
        raise AssertionError(syntax)

    world = daemon("FROM alpine\n")
    with pytest.raises(InvalidRequest, match=r"requested prerelease feature file\.base"):
        await build(answering(world, forward), {}, facts(world, frozenset()))


async def test_a_name_without_a_context_stands_for_nothing_else() -> None:
    async def forward(syntax: Syntax) -> Forwarded:
        raise AssertionError(syntax)

    world = daemon("FROM alpine\n")
    ask = answering(world, forward)
    opts = {"context:base": "docker-image://alpine"}
    assert await named(ask, opts, facts(world), "other") is None
    found = await named(ask, opts, facts(world), "base")
    assert found is not None
    assert found[1] is not None
