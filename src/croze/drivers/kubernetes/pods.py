"""Which pod of a node a build goes to.

`sticky` sends what has the same key (the context's path) to the same pod, as long as it is there: a
ring of hashes, so that a pod that comes or goes moves few keys. Source: docker/buildx
`driver/kubernetes/podchooser`, serialx/hashring (MD5, two signed 64-bit numbers, little-endian).
"""

from __future__ import annotations

import hashlib
import random
import struct
from collections.abc import Iterable, Sequence

from croze.drivers.kubernetes.api import Pod
from croze.drivers.kubernetes.options import RANDOM
from croze.errors import Unavailable


def running(pods: Iterable[Pod]) -> list[Pod]:
    """The pods that run, by name, without those that are being ended."""
    names = (
        pod
        for pod in pods
        if pod.status.phase == "Running" and pod.metadata.deletion_timestamp is None
    )
    return sorted(names, key=lambda pod: pod.metadata.name)


def choose(pods: Sequence[Pod], loadbalance: str, key: str) -> Pod:
    """One of the running pods. Raises `Unavailable` if there is none."""
    if not pods:
        raise Unavailable("no running buildkit pods found")
    if loadbalance == RANDOM:
        return random.choice(pods)
    ring = sorted((_place(f"{pod.metadata.name}-0"), pod.metadata.name) for pod in pods)
    mine = _place(key)
    name = next((name for place, name in ring if place > mine), ring[0][1])
    return next(pod for pod in pods if pod.metadata.name == name)


def _place(text: str) -> tuple[int, int]:
    high, low = struct.unpack("<qq", hashlib.md5(text.encode(), usedforsecurity=False).digest())
    return high, low
