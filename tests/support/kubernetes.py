"""A Kubernetes API server that answers what a real one did.

`data/exchanges.json` of `tests/drivers/kubernetes` was recorded between croze and kube-apiserver
1.36 with its controllers and a kubelet: boot, look, removal, and requests that were refused. Here
the answers are served over TLS, each as often as it is asked for until something changes what it is
about: objects are absent until they are created, become ready as they did, and are gone once
deleted.

A command in a pod is run as the real server runs it (protocols v5 and v4 over a WebSocket, an empty
message first, a status last); what it does is up to the test: `commands`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

from aiohttp import WSMsgType, web

from tests.support.certificates import make_certificate

DATA = Path(__file__).parent.parent / "drivers/kubernetes/data/exchanges.json"
TOKEN = "secret-token"
V5, V4 = "v5.channel.k8s.io", "v4.channel.k8s.io"
STDIN, STDOUT, STDERR, END, CLOSE = 0, 1, 2, 3, 255
SUCCESS = b'{"metadata":{},"status":"Success"}'
UNAUTHORIZED = {"kind": "Status", "status": "Failure", "message": "Unauthorized", "code": 401}
NO_UPGRADE = {"kind": "Status", "status": "Failure", "message": "Upgrade request required"}


class Exchange(TypedDict):
    method: str
    path: str
    sent: dict[str, object] | None
    status: int
    answer: dict[str, object]


def recorded() -> list[Exchange]:
    found: list[Exchange] = json.loads(DATA.read_text())
    return found


@dataclass
class Streams:
    """A command's, as it sees them: `read` gives nothing at the end."""

    reader: asyncio.Queue[bytes]
    send: Callable[[int, bytes], Awaitable[None]]

    async def read(self) -> bytes:
        return await self.reader.get()


Command = Callable[[Streams], Awaitable[bytes]]
"""Runs a command; what it gives is the status that the client is told at the end."""


@dataclass
class ApiServer:
    """Served by `serve`."""

    commands: dict[str, Command] = field(default_factory=dict)
    """By what is run, words parted by blanks."""
    protocols: tuple[str, ...] = (V5, V4)
    upgrades: bool = True
    """Off, it is as if a proxy took away what asks for a WebSocket."""
    pods_phase: str = "Running"
    warning: str = ""
    seen: list[tuple[str, str, object]] = field(default_factory=list)
    url: str = ""
    _there: set[str] = field(default_factory=set)
    _asked: dict[str, int] = field(default_factory=dict)

    @property
    def app(self) -> web.Application:
        made = web.Application()
        made.router.add_route("*", "/{path:.*}", self._answer)
        return made

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        path = request.raw_path
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return web.json_response(UNAUTHORIZED, status=401)
        if request.path.endswith("/exec"):
            return await self._exec(request)
        sent = await request.json() if request.can_read_body else None
        self.seen.append((request.method, path, sent))
        found = self._find(request.method, path, sent)
        text = json.dumps(found["answer"])
        if "/pods?" in path:
            text = text.replace('"phase": "Running"', f'"phase": "{self.pods_phase}"')
        headers = {"Warning": f'299 - "{self.warning}"'} if self.warning else {}
        kind = "application/json"
        return web.Response(text=text, status=found["status"], content_type=kind, headers=headers)

    def _find(self, method: str, path: str, sent: object) -> Exchange:
        name = _name(sent) if method == "POST" else ""
        alike = [
            each
            for each in recorded()
            if (each["method"], each["path"]) == (method, path)
            and (method != "POST" or _name(each["sent"]) == name)
        ]
        assert alike, f"nothing was recorded for {method} {path} {name}"
        if method == "GET" and len({each["status"] for each in alike}) > 1:
            there = path in self._there
            alike = [each for each in alike if (each["status"] == 200) == there]
        at = self._asked.get(f"{method} {path} {name}", 0)
        self._asked[f"{method} {path} {name}"] = at + 1
        found = alike[min(at, len(alike) - 1)]
        if method == "POST" and found["status"] == 201:
            self._there.add(f"{path}/{name}")
        if method == "DELETE" and found["status"] == 200:
            self._there.discard(path)
        return found

    async def _exec(self, request: web.Request) -> web.StreamResponse:
        command = " ".join(request.query.getall("command"))
        self.seen.append((request.method, request.path, command))
        if not self.upgrades or "upgrade" not in request.headers.get("Connection", "").lower():
            return web.json_response(NO_UPGRADE, status=400)
        socket = web.WebSocketResponse(protocols=self.protocols)
        await socket.prepare(request)
        await socket.send_bytes(bytes([STDOUT]))
        ready: asyncio.Queue[bytes] = asyncio.Queue()

        async def send(channel: int, data: bytes) -> None:
            await socket.send_bytes(bytes([channel]) + data)

        async def listen() -> None:
            async for message in socket:
                assert message.type is WSMsgType.BINARY
                if message.data[0] == STDIN:
                    ready.put_nowait(message.data[1:])
                elif message.data == bytes([CLOSE, STDIN]):
                    ready.put_nowait(b"")
            ready.put_nowait(b"")

        async with asyncio.TaskGroup() as group:
            listening = group.create_task(listen())
            status = await self.commands[command](Streams(ready, send))
            with contextlib.suppress(ConnectionError):
                await send(END, status)
            await socket.close()
            listening.cancel()
        return socket


def _name(value: object) -> str:
    meta = value.get("metadata") if isinstance(value, dict) else None
    return str(meta["name"]) if isinstance(meta, dict) else ""


def to_socket(path: Path) -> Command:
    """`buildctl dial-stdio` for the daemon at a socket."""

    async def run(streams: Streams) -> bytes:
        reader, writer = await asyncio.open_unix_connection(str(path))

        async def upwards() -> None:
            while data := await streams.read():
                writer.write(data)
                await writer.drain()
            writer.write_eof()

        async with asyncio.TaskGroup() as group:
            going_up = group.create_task(upwards())
            with contextlib.suppress(ConnectionError):
                while data := await reader.read(32 * 1024):
                    await streams.send(STDOUT, data)
            going_up.cancel()
        writer.close()
        return SUCCESS

    return run


@contextlib.asynccontextmanager
async def serve(server: ApiServer, folder: Path) -> AsyncIterator[Path]:
    """A kubeconfig for the server, while it runs."""
    certificate = make_certificate()
    (folder / "ca.pem").write_bytes(certificate.pem)
    (folder / "key.pem").write_bytes(certificate.key)
    secure = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    secure.load_cert_chain(folder / "ca.pem", folder / "key.pem")
    runner = web.AppRunner(server.app, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=secure)
    await site.start()
    server.url = f"https://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield write_kubeconfig(folder / "kubeconfig", server.url)
    finally:
        await runner.cleanup()


def write_kubeconfig(path: Path, url: str, **user: object) -> Path:
    """With the certificate `ca.pem` beside it, and the token unless `user` says another."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": url, "certificate-authority": "ca.pem"}}],
        "users": [{"name": "u", "user": user or {"token": TOKEN}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    path.write_text(json.dumps(config))
    return path
