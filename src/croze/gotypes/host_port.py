"""IP addresses before ports, as Go's `net.SplitHostPort` and `net.ParseIP` read them."""

from __future__ import annotations

import ipaddress

from croze.errors import InvalidRequest


def ip_before_port(text: str) -> str:
    """The address of `address:port`, of IPv6 without its brackets; it may be empty.

    Raises `InvalidRequest` with the words of Docker's readers of ports.
    """
    host = text
    if text.startswith("["):
        trouble = _bracket_trouble(text)
        if trouble:
            raise InvalidRequest(f"invalid IP address {text}: address {text}:: {trouble}")
        host = text[1:-1]
    if not host:
        return ""
    try:
        if "%" in host:  # a zone says which interface, which is a matter of one machine
            raise ValueError(host)
        ipaddress.ip_address(host)
    except ValueError:
        raise InvalidRequest(f"invalid IP address: {host}") from None
    return host


def _bracket_trouble(text: str) -> str:
    """What `net.SplitHostPort` has against the text with a colon after it."""
    end = text.find("]")
    if end < 0:
        return "missing ']' in address"
    if end + 1 < len(text):
        too_many = text[end + 1] == ":"
        return "too many colons in address" if too_many else "missing port in address"
    return "unexpected '[' in address" if "[" in text[1:] else ""
