"""Names that a build's steps or a container know besides those of the network."""

from __future__ import annotations

from croze.errors import InvalidRequest


def address_of(text: str, host_gateway: str) -> str:
    """The address that is meant by one, or by `host-gateway`. Raises `InvalidRequest`."""
    if text != "host-gateway":
        return text
    if not host_gateway:
        raise InvalidRequest("unable to derive the IP value for host-gateway")
    return host_gateway
