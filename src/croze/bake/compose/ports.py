"""Short forms of ports: `[[IP:]HOST:]CONTAINER[/PROTOCOL]`, each port a number or a range.

Nothing of them reaches a build, but a project with one that is none is refused. Source of rules and
texts: `docker/go-connections/nat`.
"""

from __future__ import annotations

from croze.errors import InvalidRequest
from croze.gotypes.host_port import ip_before_port

_PROTOCOLS = ("tcp", "udp", "sctp")
_HIGHEST = 65535


def container_ports(text: str) -> range:
    """The ports of the container. Raises `InvalidRequest`."""
    address, host, container = _split(text)
    container, _, protocol = container.partition("/")
    if not container:
        raise InvalidRequest(f"no port specified: {text}<empty>")
    if protocol and protocol.lower() not in _PROTOCOLS:
        raise InvalidRequest(f"invalid proto: {protocol.lower()}")
    ip_before_port(address)
    inside = _range(container)
    if inside is None:
        raise InvalidRequest(f"invalid containerPort: {container}")
    if not host:
        return inside
    outside = _range(host)
    if outside is None:
        raise InvalidRequest(f"invalid hostPort: {host}")
    if len(inside) not in (1, len(outside)):
        both = f"{container} and {host}"
        raise InvalidRequest(f"invalid ranges specified for container and host Ports: {both}")
    return inside


def _split(text: str) -> tuple[str, str, str]:
    """The address, the port of the host, and that of the container."""
    parts = text.split(":")
    host = parts[-2] if len(parts) > 1 else ""
    return ":".join(parts[:-2]), host, parts[-1]


def _range(text: str) -> range | None:
    first, dash, last = text.partition("-")
    numbers = [_number(first), _number(last) if dash else _number(first)]
    if None in numbers:
        return None
    start, end = (number or 0 for number in numbers)
    return range(start, end + 1) if start <= end else None


def _number(text: str) -> int | None:
    digits = text.removeprefix("+")
    if not digits.isascii() or not digits.isdigit() or len(digits) > 18:
        return None
    return int(digits) if int(digits) <= _HIGHEST else None
