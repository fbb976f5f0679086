"""A client's session ends while its build goes on, and comes back under the same id."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from croze import llb
from croze.aio.parallel import first_error
from croze.aio.threads import in_thread
from croze.api import control_pb2
from croze.api.control_pb2_grpc import ControlStub
from croze.identity import new_id
from croze.rpc.channel import Channel
from croze.rpc.stand_ins import AioRpcError, StatusCode
from croze.session.lent_service import LentService
from croze.session.providers.files import FilesProvider, LentDir
from croze.session.providers.secrets import SecretSource, SecretsProvider
from croze.session.serve import lend
from tests.e2e.app import base
from tests.e2e.images import busybox as busybox_binary
from tests.e2e.sandbox import Sandbox
from tests.support.waiting import PATIENCE_S

if TYPE_CHECKING:
    from croze.api.control_pb2_grpc import ControlAsyncStub

NOTES = "//n"
"""How the Dockerfile frontend calls the cache mount `/n`: namespace, slash, target."""
WAITS = "echo up; while [ ! -e /n/go ]; do sleep 0.05; done"
TELLS = "cat /run/secrets/word"


def request() -> control_pb2.SolveRequest:
    """A step that waits for a sign, then one that needs a secret."""
    lent = llb.local("bin", include=["busybox"])
    root = llb.scratch().file(llb.mkdir("/n").copy(lent, "/busybox", "/busybox"))
    waited = root.run(["/busybox", "sh", "-c", prefixed(WAITS)], mounts=[llb.cache("/n", NOTES)])
    told = waited.root.run(["/busybox", "sh", "-c", prefixed(TELLS)], mounts=[llb.secret("word")])
    session = new_id()
    return control_pb2.SolveRequest(Ref=new_id(), Session=session, Definition=told.root.marshal())


def prefixed(script: str) -> str:
    for name in ("sleep", "cat"):
        script = script.replace(f"{name} ", f"/busybox {name} ")
    return script


def providers(word: bytes) -> Sequence[LentService]:
    folder = busybox_binary().parent
    return (
        FilesProvider({"bin": LentDir(folder)}),
        SecretsProvider([SecretSource("word", value=word)]),
    )


class Logs:
    """What a build's steps print, as it comes."""

    def __init__(self, stub: ControlAsyncStub, ref: str) -> None:
        self._status = stub.Status(control_pb2.StatusRequest(Ref=ref))
        self.text = b""

    async def until(self, wanted: bytes) -> None:
        async for status in self._status:
            self.text += b"".join(log.msg for log in status.logs)
            if wanted in self.text:
                return
        raise AssertionError(f"the build ended: {self.text!r}")


async def solved(stub: ControlAsyncStub, asked: control_pb2.SolveRequest) -> None:
    await stub.Solve(asked)


async def interrupted(sandbox: Sandbox, layout: Path, *, back: bool) -> bytes:
    """Run the build, its session gone during the first step; `back` says whether it returns."""
    go = sandbox.context(
        "go", {"Dockerfile": "FROM base\nRUN --mount=type=cache,target=/n touch /n/go\n"}
    )
    asked = request()

    async def sign() -> None:
        await in_thread(sandbox.croze, "build", *base(layout), go)

    async with (
        asyncio.timeout(PATIENCE_S),
        Channel(sandbox.address) as channel,
        first_error(),
        asyncio.TaskGroup() as group,
    ):
        stub: ControlAsyncStub = ControlStub(channel)
        async with lend(channel, providers(b"first"), id=asked.Session):
            solving = group.create_task(solved(stub, asked))
            logs = Logs(stub, asked.Ref)
            await logs.until(b"up\n")
        if back:
            async with lend(channel, providers(b"second"), id=asked.Session):
                await sign()
                await logs.until(b"second")
                await solving
        else:
            await sign()
            await solving
        return logs.text


def test_a_session_that_comes_back_serves_the_rest(sandbox: Sandbox, busybox: Path) -> None:
    said = asyncio.run(interrupted(sandbox, busybox, back=True))
    assert b"first" not in said


def test_a_session_that_stays_away(sandbox: Sandbox, busybox: Path) -> None:
    """One error that says so, and the daemon goes on."""
    with pytest.raises(AioRpcError) as caught:
        asyncio.run(interrupted(sandbox, busybox, back=False))
    assert "no active session" in str(caught.value.details())
    assert caught.value.code() is StatusCode.DEADLINE_EXCEEDED
    context = sandbox.context("next", {"Dockerfile": "FROM base\nRUN true\n"})
    sandbox.croze("build", *base(busybox), context)
