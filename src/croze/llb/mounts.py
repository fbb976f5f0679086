"""What a process sees beside its root filesystem."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from croze.llb.graph import Output, Tree

Sharing = Literal["shared", "private", "locked"]
ContentCache = Literal["default", "on", "off"]


class Mount(Struct, frozen=True, eq=False):
    """A filesystem at `target`: see `bind`, `cache` and `tmpfs`."""

    target: str
    source: Output | None = None
    selector: str = ""
    """A path in the source to mount in place of its root."""
    readonly: bool = False
    no_output: bool = False
    """Writable, but what is written is thrown away."""
    cache_id: str = ""
    sharing: Sharing = "shared"
    tmpfs: bool = False
    size_bytes: int = 0
    """The size of a tmpfs; 0 for the default."""
    content_cache: ContentCache = "default"

    @property
    def has_output(self) -> bool:
        """Whether what is written into the mount is an output of the op."""
        return not (self.no_output or self.readonly or self.tmpfs or self.cache_id)


class Secret(Struct, frozen=True):
    """A client's secret, as a file at `target` and/or a variable `env`."""

    id: str
    target: str | None = None
    env: str | None = None
    uid: int = 0
    gid: int = 0
    mode: int = 0o400
    optional: bool = False


class SshSocket(Struct, frozen=True):
    """A client's ssh agent. `target` empty means a path of the daemon's choice."""

    id: str = ""
    target: str = ""
    uid: int = 0
    gid: int = 0
    mode: int = 0o600
    optional: bool = False


AnyMount = Mount | Secret | SshSocket


def split_mounts(
    mounts: Sequence[AnyMount],
) -> tuple[tuple[Mount, ...], tuple[Secret, ...], tuple[SshSocket, ...]]:
    """The mounts by kind, each in the order given."""
    return (
        tuple(m for m in mounts if isinstance(m, Mount)),
        tuple(m for m in mounts if isinstance(m, Secret)),
        tuple(m for m in mounts if isinstance(m, SshSocket)),
    )


def bind(
    target: str,
    source: Tree,
    *,
    selector: str = "",
    readonly: bool = False,
    no_output: bool = False,
    content_cache: ContentCache = "default",
) -> Mount:
    """Another state's files. Unless `readonly` or `no_output`, what the process leaves there is
    `Exec.mount(target)`."""
    return Mount(
        target,
        source.output,
        selector=selector,
        readonly=readonly,
        no_output=no_output,
        content_cache=content_cache,
    )


def cache(
    target: str,
    id: str,
    *,
    sharing: Sharing = "shared",
    base: Tree | None = None,
    selector: str = "",
    readonly: bool = False,
) -> Mount:
    """A directory that stays between builds. `base` is what it holds at first."""
    return Mount(
        target,
        base.output if base is not None else None,
        selector=selector,
        readonly=readonly,
        cache_id=id,
        sharing=sharing,
    )


def tmpfs(target: str, *, size_bytes: int = 0) -> Mount:
    """A directory in memory."""
    return Mount(target, tmpfs=True, size_bytes=size_bytes)


def secret(
    id: str,
    target: str | None = None,
    *,
    env: str | None = None,
    uid: int = 0,
    gid: int = 0,
    mode: int = 0o400,
    optional: bool = False,
) -> Secret:
    """A client's secret, at `/run/secrets/<id>` if nothing else is said."""
    if target is None and env is None:
        target = "/run/secrets/" + id.rpartition("/")[2]
    return Secret(id, target, env, uid, gid, mode, optional)


def ssh(
    id: str = "",
    target: str = "",
    *,
    uid: int = 0,
    gid: int = 0,
    mode: int = 0o600,
    optional: bool = False,
) -> SshSocket:
    """A client's ssh agent; `SSH_AUTH_SOCK` is set unless the process has one."""
    return SshSocket(id, target, uid, gid, mode, optional)
