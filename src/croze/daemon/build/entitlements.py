"""Privileges that a build must be granted, by the daemon and by the client."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct, field

from croze.api import ops_pb2
from croze.errors import InvalidRequest, PermissionDenied
from croze.runtime.cdi import CdiDevice, Devices

NETWORK_HOST = "network.host"
SECURITY_INSECURE = "security.insecure"
DEVICE = "device"
KNOWN = frozenset({NETWORK_HOST, SECURITY_INSECURE, DEVICE})


class DeviceGrant(Struct, frozen=True):
    """The devices that the client grants: all, or names; a name may be an alias of another."""

    all: bool = False
    names: Mapping[str, str] = field(default_factory=dict)
    """What a build calls it, and what it is; empty for the same."""

    @classmethod
    def parse(cls, text: str) -> DeviceGrant:
        """A grant such as `name,alias=other`, or nothing for all of them."""
        if not text:
            return cls(all=True)
        name, *options = next(csv.reader([text]))
        alias = ""
        for option in options:
            key, equals, value = option.partition("=")
            if not equals:
                raise InvalidRequest(f'invalid device config "{option}"')
            if key != "alias":
                raise InvalidRequest(f'unknown device config key "{key}"')
            alias = value
        return cls(names={alias: name} if alias else {name: ""})

    def also(self, other: DeviceGrant) -> DeviceGrant:
        return DeviceGrant(self.all or other.all, {**self.names, **other.names})


class Entitlements(Struct, frozen=True):
    """The privileges that one build has been granted."""

    names: frozenset[str]
    devices: Devices
    """That the daemon lends."""
    granted_devices: DeviceGrant = field(default_factory=DeviceGrant)

    @classmethod
    def granted(
        cls, texts: Iterable[str], allowed: frozenset[str], devices: Devices
    ) -> Entitlements:
        """What was asked for, all of which the daemon must allow. Raises `PermissionDenied`."""
        names: set[str] = set()
        grant = DeviceGrant()
        for text in texts:
            name, _, rest = text.partition("=")
            if name not in KNOWN or (rest and name != DEVICE):
                raise InvalidRequest(f"unknown entitlement {text}")
            if name not in allowed:
                raise PermissionDenied(
                    f"granting entitlement {name} is not allowed by build daemon configuration"
                )
            names.add(name)
            if name == DEVICE:
                grant = grant.also(DeviceGrant.parse(rest))
        return cls(frozenset(names), devices, grant)

    def check(self, op: ops_pb2.Op) -> ops_pb2.Op:
        """Refuse an op that needs more. Else the op, or another with the devices that this build's
        grants make of those in it: other builds may have the same op."""
        if op.WhichOneof("op") != "exec":
            return op
        if op.exec.network == ops_pb2.NetMode.HOST:
            self._need(NETWORK_HOST)
        if op.exec.security == ops_pb2.SecurityMode.INSECURE:
            self._need(SECURITY_INSECURE)
        if op.exec.cdiDevices and not self.granted_devices.all:
            return _with_devices(op, self._devices(op.exec.cdiDevices))
        return op

    def _need(self, name: str) -> None:
        if name not in self.names:
            raise PermissionDenied(f"{name} is not allowed")

    def _devices(self, requests: Sequence[ops_pb2.CDIDevice]) -> list[ops_pb2.CDIDevice]:
        aliases = self.granted_devices.names
        chosen = [
            ops_pb2.CDIDevice(name=aliases[device.name], optional=device.optional)
            for device in requests
            if aliases.get(device.name)
        ]
        devices = [
            match
            for device in requests
            if not aliases.get(device.name)
            for match in self.devices.find(device.name, optional=device.optional)
        ]
        self._refuse_ungranted(devices)
        return chosen + [ops_pb2.CDIDevice(name=name) for name in _names(devices)]

    def _refuse_ungranted(self, devices: Sequence[CdiDevice]) -> None:
        granted = {
            device.name
            for name in (self.granted_devices.names if devices else ())
            for device in self.devices.find(name)
        }
        forbidden = _names(d for d in devices if d.name not in granted and not d.auto_allowed)
        if len(forbidden) == 1:
            raise PermissionDenied(
                f"device {forbidden[0]} is requested by the build but not allowed"
            )
        if forbidden:
            names = ", ".join(forbidden)
            raise PermissionDenied(f"devices {names} are requested by the build but not allowed")


def _with_devices(op: ops_pb2.Op, devices: Iterable[ops_pb2.CDIDevice]) -> ops_pb2.Op:
    other = ops_pb2.Op()
    other.CopyFrom(op)
    del other.exec.cdiDevices[:]
    other.exec.cdiDevices.extend(devices)
    return other


def _names(devices: Iterable[CdiDevice]) -> list[str]:
    """Each once, in their order."""
    return list(dict.fromkeys(device.name for device in devices))
