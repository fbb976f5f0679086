"""The exec op: run a process in a container."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from croze.api import ops_pb2
from croze.errors import InvalidRequest
from croze.llb import caps
from croze.llb.env import Env
from croze.llb.graph import Edge, MarshalledOp, Marshaller, OpVertex, Output
from croze.llb.meta import Meta
from croze.llb.mounts import Mount, Secret, SshSocket
from croze.llb.options import Constraints

DEFAULT_PATH_UNIX: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
DEFAULT_PATH_WINDOWS: Final = (
    "c:\\Windows\\System32;c:\\Windows;C:\\Windows\\System32\\WindowsPowerShell\\v1.0"
)
EMPTY: Final = -1
"""An input or output that is not there."""

_NETWORK: Final = {"sandbox": ops_pb2.UNSET, "host": ops_pb2.HOST, "none": ops_pb2.NONE}
_SECURITY: Final = {"sandbox": ops_pb2.SANDBOX, "insecure": ops_pb2.INSECURE}
_SHARING: Final = {
    "shared": ops_pb2.SHARED,
    "private": ops_pb2.PRIVATE,
    "locked": ops_pb2.LOCKED,
}
_CONTENT: Final = {"default": ops_pb2.DEFAULT, "on": ops_pb2.ON, "off": ops_pb2.OFF}


def default_path(os: str) -> str:
    """The `PATH` of an image that has none."""
    return DEFAULT_PATH_WINDOWS if os == "windows" else DEFAULT_PATH_UNIX


class ProxyEnv(Struct, frozen=True):
    """Proxy settings for a process: in its environment, but not in its identity."""

    http_proxy: str = ""
    https_proxy: str = ""
    ftp_proxy: str = ""
    no_proxy: str = ""
    all_proxy: str = ""


class Device(Struct, frozen=True):
    """A CDI device by its qualified name."""

    name: str
    optional: bool = False


class ExecVertex(OpVertex):
    """A process. Mounts are ordered by target, the root filesystem among them."""

    def __init__(
        self,
        *,
        args: tuple[str, ...],
        meta: Meta,
        root: Output | None,
        readonly_root: bool,
        mounts: Sequence[Mount],
        secrets: Sequence[Secret],
        sockets: Sequence[SshSocket],
        devices: Sequence[Device],
        proxy: ProxyEnv | None,
        valid_exit_codes: Sequence[int],
        constraints: Constraints,
    ) -> None:
        self._args = args
        self._meta = meta
        self._mounts = sorted(
            [Mount("/", root, readonly=readonly_root), *mounts], key=lambda m: m.target
        )
        self._secrets = secrets
        self._sockets = [
            replace(s, target=s.target or f"/run/buildkit/ssh_agent.{i}")
            for i, s in enumerate(sockets)
        ]
        self._devices = devices
        self._proxy = proxy
        self._valid_exit_codes = valid_exit_codes
        self._constraints = constraints

    def mount_output(self, target: str, source: Output | None) -> Output | None:
        """What is at `target` afterwards; `source` itself where it can't have changed."""
        index = 0
        for mount in self._mounts:
            if mount.target == target:
                if mount.readonly:
                    return source or mount.source
                if not mount.has_output:
                    raise InvalidRequest(f"mount {target} has no output to build on")
                return Edge(self, index)
            index += mount.has_output
        raise InvalidRequest(f"no mount at {target}")

    def inputs(self) -> Sequence[Edge]:
        edges = (m.source.resolve() for m in self._mounts if m.source is not None)
        return [edge for edge in edges if edge is not None]

    def marshal(self, marshaller: Marshaller) -> MarshalledOp:
        """The op's bytes. Raises `InvalidRequest` without a command or a working directory: a
        vertex that isn't marshalled may lack them."""
        if not self._args:
            raise InvalidRequest("arguments are required")
        if not self._meta.dir:
            raise InvalidRequest("working directory is required")
        constraints = self._constraints.with_caps(*self._caps(marshaller))
        if constraints.platform is None:
            constraints = msgspec.structs.replace(constraints, platform=self._meta.platform)
        body = ops_pb2.Op()
        exec = body.exec
        exec.meta.CopyFrom(self._process(marshaller))
        exec.network = _NETWORK[self._meta.network]
        exec.security = _SECURITY[self._meta.security]
        for device in self._devices:
            exec.cdiDevices.add(name=device.name, optional=device.optional)
        inputs = self._fill_mounts(exec, marshaller)
        self._fill_secrets(exec)
        for socket in self._sockets:
            exec.mounts.append(_ssh_message(socket))
        return marshaller.seal(body, constraints, inputs=inputs, has_platform=True)

    def _process(self, marshaller: Marshaller) -> ops_pb2.Meta:
        meta = self._meta
        message = ops_pb2.Meta(
            args=self._args,
            env=self._env(marshaller).pairs(),
            cwd=meta.dir,
            user=meta.user,
            hostname=meta.hostname,
            cgroupParent=meta.cgroup_parent,
            removeMountStubsRecursive=True,
            validExitCodes=self._valid_exit_codes,
        )
        for name, ip in meta.extra_hosts:
            message.extraHosts.add(Host=name, IP=ip)
        for limit in meta.ulimits:
            message.ulimit.add(Name=limit.name, Soft=limit.soft, Hard=limit.hard)
        if (proxy := self._proxy) is not None:
            message.proxy_env.SetInParent()
            message.proxy_env.http_proxy = proxy.http_proxy
            message.proxy_env.https_proxy = proxy.https_proxy
            message.proxy_env.ftp_proxy = proxy.ftp_proxy
            message.proxy_env.no_proxy = proxy.no_proxy
            message.proxy_env.all_proxy = proxy.all_proxy
        return message

    def _env(self, marshaller: Marshaller) -> Env:
        env = self._meta.env
        if self._sockets:
            env = env.default("SSH_AUTH_SOCK", self._sockets[0].target)
        defaults = marshaller.defaults
        if defaults.has_cap is not None and not defaults.has_cap(caps.EXEC_DEFAULT_PATH):
            platform = defaults.platform or self._constraints.platform
            os = platform.os if platform is not None else "linux"
            if os != "windows":
                env = env.default("PATH", default_path(os))
        return env

    def _fill_mounts(self, exec: ops_pb2.ExecOp, marshaller: Marshaller) -> Sequence[ops_pb2.Input]:
        inputs: dict[tuple[str, int], int] = {}
        messages: list[ops_pb2.Input] = []
        outputs = 0
        for mount in self._mounts:
            message = _mount_message(mount)
            edge = mount.source.resolve() if mount.source is not None else None
            if edge is not None:
                wire = marshaller.input(edge)
                key = (wire.digest, wire.index)
                if key not in inputs:
                    inputs[key] = len(messages)
                    messages.append(wire)
                message.input = inputs[key]
            if mount.has_output:
                message.output = outputs
                outputs += 1
            exec.mounts.append(message)
        return messages

    def _fill_secrets(self, exec: ops_pb2.ExecOp) -> None:
        for secret in self._secrets:
            if secret.env is not None:
                exec.secretenv.add(ID=secret.id, name=secret.env, optional=secret.optional)
            if secret.target is not None:
                exec.mounts.append(_secret_message(secret, secret.target))

    def _caps(self, marshaller: Marshaller) -> set[str]:
        has_cap = marshaller.defaults.has_cap
        needed = {caps.EXEC_BASE}
        conditions = {
            caps.EXEC_DEFAULT_PATH: has_cap is not None and has_cap(caps.EXEC_DEFAULT_PATH),
            caps.EXEC_VALID_EXIT_CODES: bool(self._valid_exit_codes),
            caps.EXEC_ULIMIT: bool(self._meta.ulimits),
            caps.EXEC_RESOURCES: self._constraints.metadata.resources is not None,
            caps.EXEC_NETWORK: self._meta.network != "sandbox",
            caps.EXEC_SECURITY: self._meta.security == "insecure",
            caps.EXEC_PROXY: self._proxy is not None,
            caps.EXEC_MOUNT_SECRET: bool(self._secrets),
            caps.EXEC_SECRET_ENV: any(s.env is not None for s in self._secrets),
            caps.EXEC_MOUNT_SSH: bool(self._sockets),
            caps.EXEC_CDI: bool(self._devices),
        }
        needed.update(cap for cap, holds in conditions.items() if holds)
        for mount in self._mounts:
            needed.update(_mount_caps(mount))
        return needed


def _mount_caps(mount: Mount) -> set[str]:
    needed: set[str] = set()
    if mount.selector:
        needed.add(caps.EXEC_MOUNT_SELECTOR)
    if mount.cache_id:
        needed.update((caps.EXEC_MOUNT_CACHE, caps.EXEC_MOUNT_CACHE_SHARING))
    elif mount.tmpfs:
        needed.add(caps.EXEC_MOUNT_TMPFS)
        if mount.size_bytes > 0:
            needed.add(caps.EXEC_MOUNT_TMPFS_SIZE)
    elif mount.source is not None:
        needed.add(caps.EXEC_MOUNT_BIND)
    if mount.content_cache != "default":
        needed.add(caps.EXEC_MOUNT_CONTENT_CACHE)
    return needed


def _mount_message(mount: Mount) -> ops_pb2.Mount:
    message = ops_pb2.Mount(
        input=EMPTY,
        dest=mount.target,
        readonly=mount.readonly,
        output=EMPTY,
        selector=mount.selector,
        contentCache=_CONTENT[mount.content_cache],
    )
    if mount.cache_id:
        message.mountType = ops_pb2.CACHE
        message.cacheOpt.ID = mount.cache_id
        message.cacheOpt.sharing = _SHARING[mount.sharing]
    if mount.tmpfs:
        message.mountType = ops_pb2.TMPFS
        message.TmpfsOpt.SetInParent()
        message.TmpfsOpt.size = mount.size_bytes
    return message


def _secret_message(secret: Secret, target: str) -> ops_pb2.Mount:
    return ops_pb2.Mount(
        input=EMPTY,
        dest=target,
        mountType=ops_pb2.SECRET,
        secretOpt=ops_pb2.SecretOpt(
            ID=secret.id,
            uid=secret.uid,
            gid=secret.gid,
            mode=secret.mode,
            optional=secret.optional,
        ),
    )


def _ssh_message(socket: SshSocket) -> ops_pb2.Mount:
    return ops_pb2.Mount(
        input=EMPTY,
        dest=socket.target,
        mountType=ops_pb2.SSH,
        SSHOpt=ops_pb2.SSHOpt(
            ID=socket.id,
            uid=socket.uid,
            gid=socket.gid,
            mode=socket.mode,
            optional=socket.optional,
        ),
    )
