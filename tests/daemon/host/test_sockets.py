"""Sockets of TCP: where they listen, and whom they let in."""

from __future__ import annotations

import logging
import socket
import ssl
from pathlib import Path

import pytest

from croze.daemon.config.toml import TlsSection
from croze.daemon.host.sockets import bind_tcp, split_host, tls_context, warn_of_strangers
from croze.errors import InvalidRequest


@pytest.mark.parametrize(
    ("address", "host", "port"),
    [
        ("0.0.0.0:1234", "0.0.0.0", 1234),
        (":1234", "", 1234),
        ("[::1]:0", "::1", 0),
        ("host.example:65535", "host.example", 65535),
    ],
)
def test_hosts_and_ports(address: str, host: str, port: int) -> None:
    assert split_host(address) == (host, port)


@pytest.mark.parametrize("address", ["", "host", "host:", "host:x", "host:65536", ":-1"])
def test_no_host_and_port(address: str) -> None:
    with pytest.raises(InvalidRequest, match="use HOST:PORT"):
        split_host(address)


@pytest.mark.parametrize(
    ("address", "answers"),
    [
        ("0.0.0.0:0", {"127.0.0.1": True, "::1": False}),
        (":0", {"127.0.0.1": True, "::1": True}),
        ("[::]:0", {"127.0.0.1": True, "::1": True}),
        ("[::1]:0", {"127.0.0.1": False, "::1": True}),
        ("127.0.0.1:0", {"127.0.0.1": True, "::1": False}),
    ],
)
def test_it_listens_where_go_would(address: str, answers: dict[str, bool]) -> None:
    with bind_tcp(address) as bound:
        port = bound.getsockname()[1]
        assert {host: reaches(host, port) for host in answers} == answers


def reaches(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=5).close()
    except OSError:
        return False
    return True


def test_strangers_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    warn_of_strangers("tcp://x", None)
    assert "enabling mutual TLS authentication is highly recommended" in caplog.text
    caplog.clear()
    warn_of_strangers("tcp://x", context)
    assert "whoever reaches it is root here" in caplog.text
    caplog.clear()
    context.verify_mode = ssl.CERT_REQUIRED
    warn_of_strangers("tcp://x", context)
    assert caplog.text == ""


def test_what_tls_needs(tmp_path: Path) -> None:
    assert tls_context(TlsSection()) is None
    assert tls_context(TlsSection(ca="x")) is None
    for tls in (TlsSection(cert="c"), TlsSection(key="k")):
        with pytest.raises(InvalidRequest, match="you must specify key and cert file"):
            tls_context(tls)
    with pytest.raises(InvalidRequest, match="could not load server key pair"):
        tls_context(TlsSection(cert=f"{tmp_path}/none", key=f"{tmp_path}/none"))
