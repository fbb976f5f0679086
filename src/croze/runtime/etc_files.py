"""`/etc/hosts` and `/etc/resolv.conf` of containers, as files to be bound."""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Iterable, Sequence
from pathlib import Path

from msgspec import Struct

DEFAULT_HOSTNAME = "buildkitsandbox"
RESOLV_CONF = Path("/etc/resolv.conf")
PUBLIC_NAMESERVERS = ("8.8.8.8", "8.8.4.4", "2001:4860:4860::8888", "2001:4860:4860::8844")
"""For a container that can't reach the host's own resolver, as Docker does it."""


class DnsConfig(Struct, frozen=True):
    """What a container's resolv.conf has in place of the host's."""

    nameservers: Sequence[str] = ()
    options: Sequence[str] = ()
    search: Sequence[str] = ()


class EtcFiles:
    """`/etc/hosts` and `/etc/resolv.conf` for containers. Those that need nothing special share
    one, kept in `folder`."""

    def __init__(self, folder: Path, dns: DnsConfig) -> None:
        self._folder = folder
        self._dns = dns
        self._made: dict[bool, tuple[int, str]] = {}

    def hosts(self, bundle: Path, hostname: str, extra_hosts: Sequence[tuple[str, str]]) -> str:
        """The path of a hosts file; in the bundle if it is for one container alone."""
        if extra_hosts or hostname != DEFAULT_HOSTNAME:
            path = bundle / "hosts"
            path.write_text(hosts_file(hostname, extra_hosts), "utf-8")
            path.chmod(0o644)
        else:
            path = self._folder / "hosts"
            if not path.exists():
                _publish(path, hosts_file(hostname, ()))
        return str(path)

    def resolv(self, *, shares_host: bool) -> str:
        """The path of a resolv.conf, made again when the host's has changed."""
        path = self._folder / ("resolv-host.conf" if shares_host else "resolv.conf")
        try:
            stamp, text = RESOLV_CONF.stat().st_mtime_ns, RESOLV_CONF.read_text("utf-8", "replace")
        except OSError:
            stamp, text = 0, ""
        content = resolv_conf(text, self._dns, shares_host=shares_host)
        if self._made.get(shares_host) != (stamp, content) or not path.exists():
            _publish(path, content)
            self._made[shares_host] = (stamp, content)
        return str(path)


def _publish(path: Path, text: str) -> None:
    """Write atomically: running containers hold the old file."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    temporary.write_text(text, "utf-8")
    temporary.chmod(0o644)
    temporary.replace(path)


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
