"""Sockets to listen on: of TCP, and those that systemd passes."""

from __future__ import annotations

import logging
import os
import socket
import ssl
from pathlib import Path

from croze.daemon.config.toml import TlsSection
from croze.errors import InvalidRequest, os_message

log = logging.getLogger(__name__)

FIRST_PASSED_FD = 3


def split_host(address: str) -> tuple[str, int]:
    """`host:port`, `[v6]:port` or `:port`, which is every address of the machine. Raises
    `InvalidRequest`."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65535:
        raise InvalidRequest(f"cannot listen on tcp://{address}: use HOST:PORT")
    return host.removeprefix("[").removesuffix("]"), int(port)


def make_way(folder: Path) -> None:
    """Make a socket's directory, which those pass through who may use the socket."""
    if not folder.exists():
        make_way(folder.parent)
        folder.mkdir(exist_ok=True)
        folder.chmod(0o711)


def bind_tcp(address: str) -> socket.socket:
    """A listening socket. Raises `InvalidRequest`."""
    host, port = split_host(address)
    everywhere = host in ("", "::") and socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if everywhere or ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, dualstack_ipv6=everywhere)
    except OSError as error:
        raise InvalidRequest(f"cannot listen on tcp://{address}: {os_message(error)}") from error


def tls_context(tls: TlsSection, protocol: str = "h2") -> ssl.SSLContext | None:
    """Mutual TLS when a CA is given; None when no certificate is. Raises `InvalidRequest`."""
    if not tls.cert and not tls.key:
        return None
    if not (tls.cert and tls.key):
        raise InvalidRequest("you must specify key and cert file if one is specified")
    from croze.http import keypairs

    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols([protocol])
        keypairs.show(context, tls.cert, tls.key)
    except OSError as error:
        raise InvalidRequest(f"could not load server key pair: {os_message(error)}") from error
    try:
        if tls.ca:
            context.load_verify_locations(tls.ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except OSError as error:
        raise InvalidRequest(f"could not read ca certificate: {os_message(error)}") from error
    return context


def warn_of_strangers(address: str, context: ssl.SSLContext | None) -> None:
    """Warn, loudly, when whoever reaches the address may use the daemon."""
    if context is None:
        log.warning(
            "TLS is not enabled for %s: whoever reaches it is root here. enabling mutual TLS "
            "authentication is highly recommended",
            address,
        )
    elif context.verify_mode != ssl.CERT_REQUIRED:
        log.warning(
            "clients of %s are not asked for a certificate, as there is no --tlscacert: "
            "whoever reaches it is root here",
            address,
        )


def passed_sockets(name: str) -> list[socket.socket]:
    """The sockets that systemd passes (sd_listen_fds(3)): all, one by number, or those with a
    name."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        raise InvalidRequest(
            "no sockets found via socket activation: make sure the service was started by systemd"
        )
    count = int(os.environ.get("LISTEN_FDS", "0"))
    names = os.environ.get("LISTEN_FDNAMES", "").split(":")
    fds = range(FIRST_PASSED_FD, FIRST_PASSED_FD + count)
    chosen = [
        fd
        for fd, fd_name in zip(fds, names + [""] * count, strict=False)
        if name in ("", "*", str(fd), fd_name)
    ]
    if not chosen:
        raise InvalidRequest(f"no socket fd://{name} was passed to this process")
    return [socket.socket(fileno=fd) for fd in chosen]
