"""External frontends: what is refused before anything runs, and what a frontend is told."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

import pytest

from croze.dockerfile import asking
from croze.errors import CrozeError, FrontendCapDetail, InvalidRequest, Unsupported
from croze.gateway import guest
from croze.gateway.external import ExternalFrontend, caps_of, check_caps, environment, process_of
from croze.gateway.frontends import builtin_frontends
from croze.gateway.reading import Readers
from croze.gateway.requests import FrontendRequest
from croze.image.config import RunConfig
from croze.workers.pool import Ask
from tests.gateway.echo import Echo
from tests.gateway.world import World, local

P = ParamSpec("P")
R = TypeVar("R")


def request(**opts: str) -> FrontendRequest:
    return FrontendRequest(opts, {}, "client")


async def test_options_and_session_are_in_the_environment() -> None:
    asked = request(target="a=b", empty="")
    async with World().bridge() as (bridge, _):
        env = dict(pair.split("=", 1) for pair in environment(asked, bridge))
    assert guest.options(env) == asked.opts
    assert env["BUILDKIT_SESSION_ID"] == "client"
    workers = json.loads(env["BUILDKIT_WORKERS"])
    assert workers[0]["id"] == "worker"
    assert workers[0]["platforms"] == [{"architecture": "amd64", "os": "linux"}]


def test_the_entrypoint_is_run_unless_the_image_has_none() -> None:
    assert process_of(RunConfig(), ["A=b"]).args == ("/run",)
    process = process_of(RunConfig(entrypoint=("x", "y"), cmd=("z",), working_dir="/w"), [])
    assert (process.args, process.cwd) == (("x", "y"), "/w")


def test_capabilities() -> None:
    assert caps_of("a,b+forward,,") == {"a", "b"}
    check_caps("a,b", FrontendRequest({"frontend.caps": "a,b+forward"}, {}, ""))
    with pytest.raises(Unsupported) as failure:
        check_caps("a", FrontendRequest({}, {"x": local("x")}, ""))
    assert failure.value.details == (FrontendCapDetail("moby.buildkit.frontend.inputs"),)


@pytest.mark.parametrize(
    ("opts", "message"),
    [
        ({}, "no source specified"),
        ({"source": "me/theirs"}, "'me/theirs' is not an allowed gateway source"),
        ({"source": "me/mine", "gateway-devel": ""}, "no longer supported"),
        ({"source": "me/mine"}, "can not be run by this daemon"),
    ],
)
async def test_what_does_not_run(opts: dict[str, str], message: str) -> None:
    frontend = ExternalFrontend(Echo(), ["docker.io/me/mine"])
    async with World().bridge() as (bridge, _):
        with pytest.raises(CrozeError, match=message):
            await frontend.build(request(**opts), bridge)


def test_frontends_can_be_disabled() -> None:
    assert set(builtin_frontends()) == {"dockerfile.v0", "gateway.v0"}
    assert set(builtin_frontends(disabled=["gateway.v0"])) == {"dockerfile.v0"}
    with pytest.raises(InvalidRequest):
        builtin_frontends(allowed_repositories=["NOT A NAME"])


class Elsewhere:
    """See `workers.pool.Conversations`; the work is done here, and noted."""

    def __init__(self) -> None:
        self.done: list[object] = []

    async def converse(
        self,
        answer: Ask,
        cpu_s: int,
        function: Callable[Concatenate[Ask, P], Awaitable[R]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        self.done.append(function)
        return await function(answer, *args, **kwargs)


async def test_a_named_context_is_read_in_a_worker(tmp_path: Path) -> None:
    """Its ignore file may hold anything."""
    (tmp_path / ".dockerignore").write_text("f\n")
    workers = Elsewhere()
    frontend = ExternalFrontend(Echo(), readers=Readers(workers))
    asked = request(source="me/mine", **{"context:me/mine": "local:theirs"})
    async with World({"theirs": tmp_path}).bridge() as (bridge, _):
        image = await frontend.resolve("me/mine", asked, bridge)
        assert image.config == RunConfig()
        assert b"local://theirs" in image.ref.definition.SerializeToString()
    assert workers.done == [asking.named]
