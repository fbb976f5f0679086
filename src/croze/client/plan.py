"""What a client asks of a daemon, as plain values: a solve request and what the session lends.

Nothing here needs grpc; `solve` turns a plan into calls.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from msgspec import Struct, field

from croze.policy.options import PolicyPlace, PolicyPlan
from croze.session.token_tls import TokenTls

if TYPE_CHECKING:
    from croze.session.providers.auth import LendingLog


class ToFile(Struct, frozen=True):
    """A file that appears when it is complete."""

    path: Path


class ToFd(Struct, frozen=True):
    """An open file descriptor, such as standard output."""

    fd: int


class ToDir(Struct, frozen=True):
    """A directory; with `delete_extra` what was there before and is not in the result goes."""

    path: Path
    delete_extra: bool = False


class ToLayout(Struct, frozen=True):
    """An OCI layout directory (`tar=false`)."""

    path: Path


class ToDocker(Struct, frozen=True):
    """Loaded into a Docker engine as it comes."""

    context: str = ""
    one_name: bool = False
    """The engine gives what it loads its first name alone: others are given afterwards."""


Destination = ToFile | ToFd | ToDir | ToLayout | ToDocker


class Export(Struct, frozen=True):
    """One exporter, with its attributes; `to` is where at the client its files go, if it sends
    any."""

    type: str
    attrs: dict[str, str] = field(default_factory=dict)
    to: Destination | None = None


class CacheSpec(Struct, frozen=True):
    """A cache to import or to export, with its attributes."""

    type: str
    attrs: dict[str, str] = field(default_factory=dict)


class LocalDir(Struct, frozen=True):
    """A directory to lend, without what `exclude` (patterns of an ignore file) matches."""

    path: Path
    exclude: tuple[str, ...] = ()


class SecretFrom(Struct, frozen=True):
    """A secret by its id: a value, or the file or environment variable that holds it."""

    id: str
    path: str = ""
    env: str = ""
    value: bytes | None = None


class AgentFrom(Struct, frozen=True):
    """An ssh agent by its id: sockets or key files; none for the one of `SSH_AUTH_SOCK`. With `raw`
    any socket is passed on as it is."""

    id: str
    paths: tuple[str, ...] = ()
    raw: bool = False


class SolvePlan(Struct):
    """One solve. Marshalled definitions are `pb.Definition` messages."""

    frontend: str = ""
    frontend_attrs: dict[str, str] = field(default_factory=dict)
    frontend_inputs: dict[str, bytes] = field(default_factory=dict)
    definition: bytes | None = None
    exports: list[Export] = field(default_factory=list)
    cache_to: list[CacheSpec] = field(default_factory=list)
    cache_from: list[CacheSpec] = field(default_factory=list)
    entitlements: list[str] = field(default_factory=list)
    source_policy: bytes = b""
    """A marshalled `sourcepolicy.Policy`, or empty."""
    policy: PolicyPlan | None = None
    """Policies that are asked about each source, over the session."""
    policy_place: PolicyPlace = field(default_factory=PolicyPlace)
    ref: str = ""
    """Names the build; made up when empty."""
    proxy_network: bool = False
    """Steps reach the web by way of the daemon alone, which notes what they ask."""
    internal: bool = False
    """A request that should not show in the history."""
    detached: bool = False
    """The build goes on when the client leaves; asked of a crozed only."""
    session_id: str = ""
    """Names the session; made up when empty."""

    shared_key: str = ""
    local_dirs: dict[str, LocalDir] = field(default_factory=dict)
    layouts: dict[str, Path] = field(default_factory=dict)
    """OCI layout directories by store id, as `oci-layout://<id>` names them."""
    uploads: dict[str, BinaryIO] = field(default_factory=dict)
    """By id, as `http://buildkit-session/<id>` names them."""
    secrets: list[SecretFrom] = field(default_factory=list)
    ssh: list[AgentFrom] = field(default_factory=list)
    docker_auth: bool = True
    """Lend the registry credentials of the Docker CLI's configuration."""
    token_tls: dict[str, TokenTls] = field(default_factory=dict)
    """How tokens are asked for, by the registry's host with its port."""
    lending_log: LendingLog | None = None
    """Is told what of these credentials is lent; without one they are steps of the build."""

    clean_up: list[Callable[[], None]] = field(default_factory=list)
    """To be called when the solve is over, such as for temporary directories."""
    dockerfile_name: tuple[str, str] = ("", "")
    """What the daemon calls the Dockerfile, and what the user does: for messages."""

    def close(self) -> None:
        """Remove what was made for this solve, the last first. Idempotent."""
        while self.clean_up:
            self.clean_up.pop()()
