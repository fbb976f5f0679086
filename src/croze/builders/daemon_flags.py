"""The flags that a node's daemon is started with.

Source: docker/buildx `builder/builder.go`, parseBuildkitdFlags.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence

from croze.errors import InvalidRequest

ENTITLEMENT = "--allow-insecure-entitlement"
HOST_NETWORK = "network.host"
_GO_SHLEX = {
    "No closing quotation": "EOF found when expecting closing quote",
    "No escaped character": "EOF found after escape character",
}
_IN_CONTAINERS = ("docker-container", "kubernetes")


def daemon_flags(
    text: str, driver: str, options: Mapping[str, str], config: Mapping[str, object]
) -> tuple[str, ...] | None:
    """`--buildkitd-flags`, and what a driver adds: in a container the host's network is but the
    container's, so that builds may have it unless the user says what they may. None where nothing
    is to be said. Raises `InvalidRequest`."""
    try:
        flags = shlex.split(text)
    except ValueError as error:
        problem = _GO_SHLEX.get(str(error), error)
        raise InvalidRequest(f"failed to parse buildkit flags: {problem}") from None
    allowed = list(_entitlements(flags))
    may = f"{ENTITLEMENT}={HOST_NETWORK}"
    if driver == "docker-container" and options.get("network") == "host":
        extra = [] if HOST_NETWORK in allowed else [may]
    elif driver in _IN_CONTAINERS and not allowed and not _configured(config):
        extra = [may]
    else:
        extra = []
    return tuple(flags + extra) or None


def _entitlements(flags: Sequence[str]) -> Iterator[str]:
    """The entitlements before the first flag of another name, where buildx's reader stops."""
    words = iter(flags)
    for word in words:
        if word == ENTITLEMENT:
            yield from (value for value in (next(words, None),) if value is not None)
        elif word.startswith(f"{ENTITLEMENT}="):
            yield word.partition("=")[2]
        elif word.startswith("-") and word != "-":
            return


def _configured(config: Mapping[str, object]) -> bool:
    listed = config.get("insecure-entitlements")
    return isinstance(listed, list) and HOST_NETWORK in listed
