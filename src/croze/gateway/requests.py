"""What a frontend is asked for, and what it asks for in its turn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct, field

from croze.api import ops_pb2, policy_pb2
from croze.gateway.imports import CacheImport

EXTERNAL_FRONTEND = "gateway.v0"


class FrontendRequest(Struct, frozen=True):
    """What a frontend is to build. `session` is the client's, which local sources come from."""

    opts: Mapping[str, str]
    inputs: Mapping[str, ops_pb2.Definition]
    session: str


class BridgeRequest(Struct, frozen=True):
    """Either a definition or a frontend with its options. With `evaluate` errors of the result come
    now, not when it is used."""

    definition: ops_pb2.Definition | None = None
    frontend: str = ""
    opts: Mapping[str, str] = field(default_factory=dict)
    inputs: Mapping[str, ops_pb2.Definition] = field(default_factory=dict)
    evaluate: bool = False
    policies: Sequence[policy_pb2.Policy] = ()
    """For the sources of the definition, besides the build's own."""
    caches: Sequence[CacheImport] = ()
    """To look into, for the whole build from now on."""
