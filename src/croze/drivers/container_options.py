"""What `--driver-opt` says of a `docker-container` node, checked and typed.

Source: docker/buildx `driver/docker-container/factory.go`; docker/cli `opts`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec import Struct, field

from croze.errors import InvalidRequest
from croze.gotypes.booleans import checked_bool
from croze.gotypes.numbers import parse_int
from croze.gotypes.sizes import parse_bytes

DEFAULT_RESTART_POLICY = "unless-stopped"
ENV = "env."


class ContainerOptions(Struct, frozen=True):
    """Empty texts and zeros leave a thing to the engine. `limits` are members of the engine's
    `HostConfig`: memory in bytes, CPU times in microseconds."""

    image: str = ""
    network: str = ""
    cgroup_parent: str = ""
    restart_policy: Mapping[str, object] = field(default_factory=dict)
    limits: Mapping[str, int | str] = field(default_factory=dict)
    env: tuple[str, ...] = ()
    default_load: bool = False
    provenance_gha: bool = True
    allow_untrusted_image: bool = False


def parse_options(texts: Mapping[str, str]) -> ContainerOptions:
    """A node's `--driver-opt` pairs, checked and typed. Raises `InvalidRequest` in buildx's
    words."""
    limits: dict[str, int | str] = {}
    env: list[str] = []
    for key, value in texts.items():
        if key in _LIMITS:
            name, read = _LIMITS[key]
            if limit := read(value):
                limits[name] = limit
        elif key.startswith(ENV):
            if key == ENV:
                raise InvalidRequest(f'invalid env option "{key}", expecting env.FOO=bar')
            env.append(f"{key.removeprefix(ENV)}={value}")
        elif key not in _OTHERS:
            raise InvalidRequest(f"invalid driver option {key} for docker-container driver")
    return ContainerOptions(
        image=texts.get("image", ""),
        network=texts.get("network", ""),
        cgroup_parent=texts.get("cgroup-parent", ""),
        restart_policy=_restart_policy(texts.get("restart-policy", DEFAULT_RESTART_POLICY)),
        limits=limits,
        env=tuple(env),
        default_load=checked_bool(texts.get("default-load", "false")),
        provenance_gha=checked_bool(texts.get("provenance-add-gha", "true")),
        allow_untrusted_image=checked_bool(texts.get("allow-untrusted-image", "false")),
    )


def _swap(text: str) -> int:
    return -1 if text == "-1" else parse_bytes(text)


_LIMITS: Mapping[str, tuple[str, Callable[[str], int | str]]] = {
    "memory": ("Memory", parse_bytes),
    "memory-swap": ("MemorySwap", _swap),
    "cpu-period": ("CpuPeriod", parse_int),
    "cpu-quota": ("CpuQuota", parse_int),
    "cpu-shares": ("CpuShares", parse_int),
    "cpuset-cpus": ("CpusetCpus", str),
    "cpuset-mems": ("CpusetMems", str),
}
_OTHERS = (
    *("image", "network", "cgroup-parent", "restart-policy"),
    *("default-load", "provenance-add-gha", "allow-untrusted-image"),
)


def _restart_policy(text: str) -> Mapping[str, object]:
    name, colon, count = text.partition(":")
    if colon and not name:
        raise InvalidRequest("invalid restart policy format: no policy provided before colon")
    try:
        retries = parse_int(count) if count else 0
    except InvalidRequest:
        raise InvalidRequest(
            "invalid restart policy format: maximum retry count must be an integer"
        ) from None
    return {"Name": name, "MaximumRetryCount": retries}
