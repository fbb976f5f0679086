"""`/containers/NAME/exec` and `/exec`: one more process in a container that runs."""

from __future__ import annotations

from aiohttp import web

from croze.engineapi.answers import HEADERS, json
from croze.engineapi.container_routes import detach
from croze.engineapi.container_routes.bodies import read_body, read_size
from croze.engineapi.container_routes.joined import join
from croze.engineapi.container_routes.streams import stream_type
from croze.engineapi.containers.container import OneContainer
from croze.engineapi.containers.execs import ExecStart, OneExec, read_create
from croze.engineapi.hijack import AnsweredOnStream, take_stream
from croze.engineapi.jsontext import read_struct
from croze.engineapi.services import Services
from croze.errors import InvalidRequest


async def create(request: web.Request, services: Services) -> web.StreamResponse:
    spec = read_create(await read_body(request))
    detach.parse(spec.detach_keys)
    process = services.containers.new_exec(
        services.containers.find(request.match_info["name"]), spec
    )
    return json({"Id": process.id}, 201)


async def start(request: web.Request, services: Services) -> web.StreamResponse:
    """`POST /exec/ID/start`: with `Detach` the answer comes once it runs; without, the stream is
    the process's."""
    start_spec = read_struct(await read_body(request) or b"{}", ExecStart)
    container, one = services.containers.find_exec(request.match_info["id"])
    if (size := start_spec.console_size or one.asked.console_size) is not None and one.asked.tty:
        one.input.resize(*size)
    if start_spec.detach:
        services.containers.start_exec(container, one)
        if failed := await one.up():
            raise InvalidRequest(failed)
        return web.Response(headers=HEADERS)
    keys = detach.parse(one.asked.detach_keys) if one.asked.tty else b""
    services.containers.start_exec(container, one)  # or another client is on its streams
    with one.listening() as listener:
        client = take_stream(request, stream_type(request, tty=start_spec.tty))
        try:
            await join(
                client,
                listener,
                one.input.type_in if one.asked.attach_stdin else None,
                tty=start_spec.tty,
                ends_input=True,
                keys=keys,
            )
        finally:
            client.close()
    return AnsweredOnStream()


async def resize(request: web.Request, services: Services) -> web.StreamResponse:
    _, one = services.containers.find_exec(request.match_info["id"])
    one.input.resize(*read_size(request))
    return web.Response(headers=HEADERS)


async def inspect(request: web.Request, services: Services) -> web.StreamResponse:
    container, one = services.containers.find_exec(request.match_info["id"])
    if one.running:
        await one.up()
    return json(_about(container, one))


def _about(container: OneContainer, one: OneExec) -> dict[str, object]:
    spec = one.asked
    user = {"user": spec.user} if spec.user else {}
    return {
        "ID": one.id,
        "Running": one.running,
        "ExitCode": one.exit_code,
        "ProcessConfig": {
            "tty": spec.tty,
            "entrypoint": spec.cmd[0],
            "arguments": spec.cmd[1:],
            "privileged": False,
            **user,
        },
        "OpenStdin": spec.attach_stdin,
        "OpenStdout": spec.attach_stdout,
        "OpenStderr": spec.attach_stderr,
        "CanRemove": False,
        "ContainerID": container.id,
        "DetachKeys": "",
        "Pid": one.pid,
    }
