"""Which network a container is in.

A provider makes a namespace for one container and takes it back. `host` and `none` need nothing
made; a bridge or CNI provider goes into the same table.
"""

from __future__ import annotations

import ipaddress
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

from msgspec import Struct

from croze.runtime.contract import NetworkMode
from croze.runtime.oci_spec import Namespace

PUBLIC_NAMESERVERS = ("8.8.8.8", "8.8.4.4", "2001:4860:4860::8888", "2001:4860:4860::8844")
"""For a container that can't reach the host's own resolver, as Docker does it."""


class NetworkProvider(Protocol):
    """Makes networks for containers."""

    shares_host: bool
    """Whether addresses of the host's loopback can be reached from inside."""

    def open(self, container_id: str, hostname: str) -> AbstractAsyncContextManager[Namespace]:
        """A network for one container, taken down again on exit."""


class HostNetwork:
    """The daemon's own network."""

    shares_host = True

    @asynccontextmanager
    async def open(self, container_id: str, hostname: str) -> AsyncIterator[Namespace]:
        yield Namespace(host=True)


class NoNetwork:
    """Nothing but a loopback."""

    shares_host = False

    @asynccontextmanager
    async def open(self, container_id: str, hostname: str) -> AsyncIterator[Namespace]:
        yield Namespace(host=False)


def default_networks() -> Mapping[NetworkMode, NetworkProvider]:
    """Networks without a bridge: the sandbox shares the host's network, as BuildKit's `auto` mode
    does."""
    host = HostNetwork()
    return {"sandbox": host, "host": host, "none": NoNetwork()}


class DnsConfig(Struct, frozen=True):
    """What a container's resolv.conf has in place of the host's."""

    nameservers: Sequence[str] = ()
    options: Sequence[str] = ()
    search: Sequence[str] = ()


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address.partition("%")[0]).is_loopback
    except ValueError:
        return False


def _reachable(nameservers: Iterable[str]) -> list[str]:
    return [ns for ns in nameservers if not _is_loopback(ns)] or list(PUBLIC_NAMESERVERS)


def resolv_conf(text: str, dns: DnsConfig, *, shares_host: bool) -> str:
    """A container's resolv.conf (resolv.conf(5)) from the host's `text`: overridden by `dns`, and
    without loopback nameservers unless the container shares the host's network."""
    by_keyword: dict[str, list[str]] = {"nameserver": [], "search": [], "options": []}
    others = []
    for line in text.splitlines():
        key, *values = line.split() or [""]
        if key == "nameserver":
            by_keyword[key] += values[:1]
        elif key in ("search", "domain"):
            by_keyword["search"] = values
        elif key == "options":
            by_keyword[key] += values
        elif key and not key.startswith(("#", ";")):
            others.append(line)
    nameservers = list(dns.nameservers) or by_keyword["nameserver"]
    if not dns.nameservers and (not shares_host or not nameservers):
        nameservers = _reachable(nameservers)
    lines = [f"nameserver {ns}" for ns in nameservers]
    for key, values in (
        ("search", list(dns.search) or by_keyword["search"]),
        ("options", list(dns.options) or by_keyword["options"]),
    ):
        if values:
            lines.append(f"{key} {' '.join(values)}")
    return "\n".join(lines + others) + "\n"


def hosts_file(hostname: str, extra: Sequence[tuple[str, str]]) -> str:
    """A container's `/etc/hosts` (hosts(5)); `extra` are (name, address)."""
    lines = [f"127.0.0.1\tlocalhost {hostname}", "::1\tlocalhost ip6-localhost ip6-loopback"]
    lines += [f"{address}\t{name}" for name, address in extra]
    return "\n".join(lines) + "\n"
