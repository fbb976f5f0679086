"""Privileges that a build must be granted, by the daemon and by the client."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from croze.api import ops_pb2
from croze.errors import InvalidRequest, NotFound, PermissionDenied

NETWORK_HOST = "network.host"
SECURITY_INSECURE = "security.insecure"
DEVICE = "device"
KNOWN = frozenset({NETWORK_HOST, SECURITY_INSECURE, DEVICE})


@dataclass(frozen=True)
class Entitlements:
    """What one build may do."""

    names: frozenset[str]

    @classmethod
    def granted(cls, asked: Iterable[str], allowed: frozenset[str]) -> Entitlements:
        """What was asked for, all of which the daemon must allow. Raises `PermissionDenied`."""
        names = {text.partition("=")[0]: text for text in asked}
        for name, text in names.items():
            if name not in KNOWN:
                raise InvalidRequest(f"unknown entitlement {text}")
            if name not in allowed:
                raise PermissionDenied(
                    f"granting entitlement {name} is not allowed by build daemon configuration"
                )
        return cls(frozenset(names))

    def check(self, op: ops_pb2.Op) -> None:
        """Refuse an op that needs more."""
        if op.WhichOneof("op") != "exec":
            return
        if op.exec.network == ops_pb2.NetMode.HOST:
            self._need(NETWORK_HOST)
        if op.exec.security == ops_pb2.SecurityMode.INSECURE:
            self._need(SECURITY_INSECURE)
        for device in op.exec.cdiDevices:
            # This daemon registers none; an optional one may be missing.
            if not device.optional:
                raise NotFound(f'required device "{device.name}" is not registered')

    def _need(self, name: str) -> None:
        if name not in self.names:
            raise PermissionDenied(f"{name} is not allowed")
