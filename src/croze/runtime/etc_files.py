"""`/etc/hosts` and `/etc/resolv.conf` of containers, as files to be bound."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path

from croze.runtime.network import DnsConfig, hosts_file, resolv_conf

DEFAULT_HOSTNAME = "buildkitsandbox"
RESOLV_CONF = Path("/etc/resolv.conf")


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
