"""Proxies, as the environment names them: `HTTP_PROXY`, `HTTPS_PROXY`, `NO_PROXY`, in either case.

As in Go, this machine itself is never asked by way of a proxy.
"""

from __future__ import annotations

import ipaddress
from urllib.request import getproxies, proxy_bypass  # noqa: TID251

from croze.http.urls import parse_url


def proxy_for(url: str) -> str | None:
    """The proxy's URL, which may hold a user and a password; None to ask the server itself."""
    parts = parse_url(url)
    host = parts.hostname or ""
    if _is_this_machine(host) or proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    proxy = getproxies().get(parts.scheme)
    if proxy and "://" not in proxy:
        proxy = f"http://{proxy}"
    return proxy or None


def _is_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
