"""`--add-host`, `--ulimit`, `--shm-size`, `--network`, `--resource`: how steps run.

Grammar: docker/cli `opts`, docker/go-units, buildx `build/utils.go`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from croze.errors import InvalidRequest
from croze.gotypes.numbers import parse_int
from croze.gotypes.quote import quote
from croze.gotypes.sizes import parse_bytes
from croze.gotypes.ulimits import parse_ulimit


def parse_ulimits(values: Iterable[str]) -> str:
    """`name=soft[:hard]` flags as the frontend's attribute; the last of a name counts."""
    limits: dict[str, str] = {}
    for text in values:
        name, soft, hard = parse_ulimit(text)
        limits[name] = f"{name}={soft}:{hard}"
    return ",".join(limits.values())


def parse_hosts(values: Iterable[str], host_gateway: str = "", driver: str = "") -> str:
    """`host=ip` or `host:ip` flags as the frontend's attribute. `host_gateway` is what
    `host-gateway` stands for on the builder, which `driver` has brought up."""
    hosts: list[str] = []
    for text in values:
        separator = "=" if "=" in text else ":"
        host, _, address = text.partition(separator)
        if not host or not address:
            raise InvalidRequest(f"invalid host {text}")
        hosts += [f"{host}={ip}" for ip in _addresses(text, address, host_gateway, driver)]
    return ",".join(hosts)


def _addresses(text: str, address: str, host_gateway: str, driver: str) -> list[str]:
    if address == "host-gateway":
        if not host_gateway:
            raise InvalidRequest(
                "unable to derive the IP value for host-gateway: host-gateway is not supported by "
                + (f"the {driver} driver" if driver else "this builder")
            )
        return [host_gateway]
    addresses = []
    for part in address.split(","):
        bare = part[1:-1] if len(part) > 2 and part[0] == "[" and part[-1] == "]" else part
        try:
            ipaddress.ip_address(bare)
        except ValueError:
            raise InvalidRequest(f"invalid host {text}") from None
        addresses.append(bare)
    return addresses


NETWORK_MODES = ("", "default", "none", "host")


def check_network(mode: str) -> None:
    """See that `--network` is one that BuildKit has. Raises `InvalidRequest`."""
    if mode not in NETWORK_MODES:
        raise InvalidRequest(
            f"network mode {quote(mode)} not supported by buildkit - you can define a custom "
            "network for your builder using the network driver-opt in buildx create"
        )


_RESOURCES = {
    "memory": "memory",
    "memory-swap": "memswap",
    "cpu-shares": "cpushares",
    "cpu-period": "cpuperiod",
    "cpu-quota": "cpuquota",
    "cpuset-cpus": "cpusetcpus",
    "cpuset-mems": "cpusetmems",
}


def parse_resources(values: Iterable[str]) -> dict[str, str]:
    """`--resource key=value` flags as the frontend's attributes; what is zero is left out."""
    resources: dict[str, str] = {}
    for text in values:
        key, equals, value = text.partition("=")
        key, value = key.strip(), value.strip()
        if not equals:
            raise InvalidRequest(f"invalid resource {quote(text)}, expected key=value")
        if key not in _RESOURCES:
            raise InvalidRequest(f"unknown resource {quote(key)}")
        resources[_RESOURCES[key]] = _resource(key, value)
    return {key: value for key, value in resources.items() if value not in ("", "0")}


def _resource(key: str, value: str) -> str:
    if key.startswith("cpuset"):
        return value
    if key == "memory-swap" and value == "-1":
        return value
    try:
        return str(parse_bytes(value) if key.startswith("memory") else parse_int(value))
    except InvalidRequest as error:
        raise error.wrap(f"invalid value {quote(value)} for resource {key}") from None
