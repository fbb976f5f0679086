"""Where daemons listen, and what they want of who comes."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from pathlib import Path

import pytest
from msgspec.structs import replace

from croze import errors
from croze.aio.streams import listening, on_sockets, serving
from croze.rpc import addresses
from croze.rpc.channel import Channel
from croze.rpc.server import Server
from croze.rpc.stand_ins import AioRpcError
from croze.rpc.tls import Secure, Tls, secure
from tests.rpc.shapes import Service
from tests.support.certificates import encrypted, make_certificate
from tests.support.waiting import PATIENCE_S


async def test_tls(tmp_path: Path) -> None:
    """Only with the daemon it was told, and with who signed it."""
    made = make_certificate()
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    cert.write_bytes(made.pem)
    key.write_bytes(made.key)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    context.set_alpn_protocols(["h2"])
    server = Server()
    server.add_methods("test.S", Service().table())
    listener = socket.create_server(("127.0.0.1", 0))
    address = f"tcp://127.0.0.1:{listener.getsockname()[1]}"
    async with (
        asyncio.timeout(PATIENCE_S),
        serving(listener, on_sockets(server.serve), most=9, tls=context),
    ):
        for tls, why in (
            (Tls(cert), ""),
            (Tls(cert, server_name="other.example"), "certificate verify failed: hostname"),
            (Tls(), "certificate verify failed: "),
            (None, "error reading from server: EOF"),
        ):
            async with Channel(address, None if tls is None else secure(tls)) as opened:
                echo = opened.unary_unary("/test.S/echo", bytes, bytes)
                if not why:
                    assert await echo(b"x") == b"x"
                    continue
                with pytest.raises(AioRpcError, match=f"failed to connect to .*: {why}"):
                    await echo(b"x")
    with pytest.raises(errors.InvalidRequest, match=r"could not read ca certificate .*/none: "):
        secure(Tls(tmp_path / "none"))


def mutual(tmp_path: Path) -> tuple[ssl.SSLContext, Tls]:
    """A server that wants a certificate, and a client that has one."""
    made = make_certificate()
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    cert.write_bytes(made.pem)
    key.write_bytes(made.key)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=cert)
    context.load_cert_chain(cert, key)
    context.verify_mode = ssl.CERT_REQUIRED
    return context, Tls(cert, cert, key, "127.0.0.1")


async def test_tls_on_a_unix_socket(tmp_path: Path) -> None:
    context, tls = mutual(tmp_path)
    server = Server()
    server.add_methods("test.S", Service().table())
    unix = listening(f"{tmp_path}/s")
    async with (
        asyncio.timeout(PATIENCE_S),
        serving(unix, on_sockets(server.serve), most=9, tls=context),
        Channel(f"unix:{tmp_path}/s", secure(tls)) as opened,
    ):
        assert await opened.unary_unary("/test.S/echo", bytes, bytes)(b"x") == b"x"


async def test_a_daemon_that_wants_a_certificate(tmp_path: Path) -> None:
    """It says so when the client has done its own part of the handshake."""
    context, tls = mutual(tmp_path)
    ours, theirs = socket.socketpair()
    told = threading.Event()

    def refuse() -> None:
        with context.wrap_socket(theirs, server_side=True, do_handshake_on_connect=False) as peer:
            with contextlib.suppress(ssl.SSLError):
                peer.do_handshake()
            told.wait()

    thread = threading.Thread(target=refuse)
    thread.start()
    async with (
        asyncio.timeout(PATIENCE_S),
        Channel("tcp://127.0.0.1:1", secure(replace(tls, cert=None))) as made,
    ):
        with pytest.MonkeyPatch.context() as patch:

            async def dialled(host: str, port: int) -> socket.socket:
                ours.setblocking(False)
                return ours

            patch.setattr(addresses, "dialled", dialled)
            with pytest.raises(AioRpcError, match=r"failed .* certificate required"):
                await made.unary_unary("/test.S/echo", bytes, bytes)(b"x")
    told.set()
    thread.join()


def test_a_key_that_has_a_password(tmp_path: Path) -> None:
    _, tls = mutual(tmp_path)
    assert tls.key is not None
    tls.key.write_bytes(encrypted(tls.key.read_bytes()))
    with pytest.raises(errors.InvalidRequest, match=r"/key\.pem: the private key is encrypted"):
        secure(tls)


async def test_addresses() -> None:
    for address, why in (
        ("tcp://127.0.0.1", "missing port in address"),
        ("tcp://nowhere.invalid:1", "name or service not known|temporary failure"),
        ("unix:/nowhere/s", "no such file or directory"),
        ("unix-abstract:croze-nobody", "connection refused"),
    ):
        with pytest.raises(addresses.NotConnected, match=why):
            await addresses.connect(address, None, asyncio.Protocol)


@pytest.mark.parametrize(
    ("address", "name", "expected"),
    [
        ("tcp://host.example:1234", None, "host.example:1234"),
        ("tcp://host.example:1234", "", "host.example"),
        ("tcp://host.example:1234", "host.example", "host.example"),
        ("tcp://10.0.0.1:1234", "host.example", "host.example"),
        ("unix:///run/x", None, "localhost"),
        ("unix:///run/x", "", "localhost"),
        ("unix:///run/x", "host.example", "host.example"),
    ],
)
def test_whom_calls_are_for(address: str, name: str | None, expected: str) -> None:
    safe = None if name is None else Secure(ssl.create_default_context(), name)
    assert addresses.authority(address, safe) == expected
