"""An engine that does not do as engines do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from croze.builders.contexts import DockerContext
from croze.builders.model import BuilderNode
from croze.drivers import engine_api
from croze.drivers.container import ContainerDriver
from croze.drivers.contract import NodeStatus
from croze.errors import AlreadyExists, CrozeError, InvalidRequest, NotFound, Unavailable

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def engine(folder: Path, answer: Answer) -> AsyncIterator[DockerContext]:
    made = web.Application()
    made.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(made, shutdown_timeout=1)
    await runner.setup()
    await web.UnixSite(runner, str(folder / "engine.sock")).start()
    try:
        yield DockerContext("here", f"unix://{folder}/engine.sock")
    finally:
        await runner.cleanup()


def said(text: str, status: int = 200) -> Answer:
    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.Response(text=text, status=status)

    return answer


@pytest.mark.parametrize(
    ("text", "status", "kind", "message"),
    [
        ("{", 200, CrozeError, "the Docker engine's answer can't be read"),
        ('{"Id": 1}', 200, CrozeError, "the Docker engine's answer can't be read"),
        ('{"message": "no"}', 404, NotFound, "Error response from daemon: no"),
        ('{"message": "taken"}', 409, AlreadyExists, "Error response from daemon: taken"),
        ('{"message": "bad"}', 400, InvalidRequest, "Error response from daemon: bad"),
        ("broken\n", 500, CrozeError, "Error response from daemon: broken"),
        ("", 302, CrozeError, "the Docker engine's answer can't be read"),
    ],
)
async def test_answers_that_are_none(
    text: str, status: int, kind: type[CrozeError], message: str, tmp_path: Path
) -> None:
    async with (
        engine(tmp_path, said(text, status)) as context,
        engine_api.engine_api(context) as api,
    ):
        with pytest.raises(kind, match=message):
            await api.container("c")


async def test_an_answer_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_api, "ANSWER_LIMIT_BYTES", 1 << 20)

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" " * 65536)

    async with engine(tmp_path, endless) as context, engine_api.engine_api(context) as api:
        with pytest.raises(CrozeError, match="has more than 1048576 bytes"):
            await api.container("c")


async def test_an_engine_that_hangs_up(tmp_path: Path) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.close()

    path = tmp_path / "engine.sock"
    server = await asyncio.start_unix_server(hang_up, path)  # noqa: TID251
    async with server, engine_api.engine_api(DockerContext("here", f"unix://{path}")) as api:
        with pytest.raises(Unavailable, match="Cannot connect to the Docker daemon at unix:"):
            await api.container("c")


async def test_what_other_engines_leave_out(tmp_path: Path) -> None:
    """Podman's answers have null where Docker's have empty lists."""
    text = '{"Id": "1", "State": {"Running": false}, "Mounts": null, "SecurityOptions": null}'
    async with engine(tmp_path, said(text)) as context:
        async with engine_api.engine_api(context) as api:
            assert not (await api.machine()).remaps_users
        driver = ContainerDriver(BuilderNode("n", "here"), context)
        assert await driver.status() is NodeStatus.STOPPED
        await driver.remove(state=True, daemon=True)


async def test_an_exec_that_is_refused(tmp_path: Path) -> None:
    async def refuse(request: web.Request) -> web.StreamResponse:
        if request.path.endswith("/start"):
            return web.json_response({"message": "executable file not found"}, status=400)
        return web.json_response({"Id": "1"})

    async with engine(tmp_path, refuse) as context:
        driver = ContainerDriver(BuilderNode("n", "here"), context)
        with pytest.raises(CrozeError, match="executable file not found"):
            async with driver.dial() as client:
                await client.info()


@pytest.mark.parametrize("host", ["http", "fd://", "npipe:////./pipe/docker", ""])
async def test_addresses_that_are_none(host: str) -> None:
    with pytest.raises(InvalidRequest, match="unable to parse docker host"):
        async with engine_api.engine_api(DockerContext("here", host)):
            pass


def test_names_go_nowhere_else() -> None:
    """A node's name is a part of a path, and no more."""
    assert engine_api._part("../../images/json?x=") == "..%2F..%2Fimages%2Fjson%3Fx%3D"
