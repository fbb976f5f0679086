"""Privileges that a step may ask for, and who has granted them.

A privilege is granted when both the daemon's configuration and the client's request name it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from croze.api import ops_pb2
from croze.errors import InvalidRequest, PermissionDenied

NETWORK_HOST = "network.host"
SECURITY_INSECURE = "security.insecure"
DEVICE = "device"
KNOWN = frozenset({NETWORK_HOST, SECURITY_INSECURE, DEVICE})


def name_of(entitlement: str) -> str:
    """The privilege that a text such as `device=vendor.com/gpu,alias=x` is about. Raises
    `InvalidRequest` for unknown ones."""
    name, _, rest = entitlement.partition("=")
    if name not in KNOWN or (rest and name != DEVICE):
        raise InvalidRequest(f"unknown entitlement {entitlement}")
    return name


def grant(requested: Iterable[str], supported: Iterable[str]) -> frozenset[str]:
    """What a build gets of what its client asks for. Raises `PermissionDenied` for what the daemon
    does not give."""
    allowed = {name_of(e) for e in supported}
    names = frozenset(name_of(e) for e in requested)
    for name in sorted(names - allowed):
        raise PermissionDenied(
            f"granting entitlement {name} is not allowed by build daemon configuration"
        )
    return names


def checker(granted: frozenset[str]) -> Callable[[ops_pb2.Op], None]:
    """For `LoadOptions.check`: refuses ops that need more than `granted`."""

    def check(op: ops_pb2.Op) -> None:
        for name in needed(op):
            if name not in granted:
                raise PermissionDenied(f"{name} is not allowed")

    return check


def needed(op: ops_pb2.Op) -> list[str]:
    """The privileges that an op asks for."""
    if op.WhichOneof("op") != "exec":
        return []
    asked = {
        NETWORK_HOST: op.exec.network == ops_pb2.HOST,
        SECURITY_INSECURE: op.exec.security == ops_pb2.INSECURE,
        DEVICE: len(op.exec.cdiDevices) > 0,
    }
    return [name for name, yes in asked.items() if yes]
