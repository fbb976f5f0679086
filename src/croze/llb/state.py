"""States: immutable values that stand for a filesystem to be.

Every method returns a new state. Nothing runs until the state is marshalled and handed to a daemon.

    from croze import llb

    alpine = llb.image("alpine")
    tools = alpine.run("apk add --no-cache git").root
    out = tools.dir("/src").run(["git", "clone", URL, "."]).root
    definition = out.marshal()
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Unpack

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from croze.api import ops_pb2
from croze.errors import InvalidRequest
from croze.image.config import ImageConfig
from croze.image.platform import Platform, normalize
from croze.llb.env import Env
from croze.llb.execop import Device, ExecVertex, ProxyEnv
from croze.llb.fileop import FileAction
from croze.llb.filevertex import FileVertex
from croze.llb.graph import Defaults, Edge, Output, define
from croze.llb.meta import Meta, NetworkMode, SecurityMode, Ulimit, join_dir
from croze.llb.mounts import AnyMount, split_mounts
from croze.llb.options import OpOptions, constraints_of

_PLAIN = Meta(dir="/")


class State(Struct, frozen=True, eq=False):
    """A filesystem (`output` None is an empty one) and what processes in it would start with."""

    output: Output | None = None
    meta: Meta = _PLAIN
    defaults: Defaults | None = None
    """What `marshal` fills in where nothing else is said."""

    # What it carries along.

    @property
    def env(self) -> Env:
        """The environment variables of processes."""
        return self.meta.env

    @property
    def cwd(self) -> str:
        """The working directory."""
        return self.meta.dir

    def add_env(self, key: str, value: str) -> State:
        """A state with an environment variable."""
        return self._with(env=self.meta.env.set(key, value))

    def add_envs(self, values: Mapping[str, str]) -> State:
        """A state with several environment variables, in their order."""
        return self._with(env=self.meta.env.update(values))

    def dir(self, path: str) -> State:
        """A state with a working directory, seen from the one so far, which is not created."""
        return self._with(dir=join_dir(self.meta.dir, path))

    def user(self, user: str) -> State:
        """A state with a user: `name[:group]` or `uid[:gid]`."""
        return self._with(user=user)

    def hostname(self, name: str) -> State:
        """A state with a host name for processes."""
        return self._with(hostname=name)

    def platform(self, platform: Platform) -> State:
        """A state with the platform that processes are for."""
        return self._with(platform=normalize(platform))

    def network(self, mode: NetworkMode) -> State:
        """A state with a network for processes: `sandbox`, `host` or `none`."""
        return self._with(network=mode)

    def security(self, mode: SecurityMode) -> State:
        """A state with a security mode for processes: `sandbox` or `insecure`."""
        return self._with(security=mode)

    def cgroup_parent(self, path: str) -> State:
        """A state with a cgroup below which processes are put."""
        return self._with(cgroup_parent=path)

    def add_extra_host(self, name: str, ip: str) -> State:
        """A state with a line in `/etc/hosts`."""
        return self._with(extra_hosts=(*self.meta.extra_hosts, (name, ip)))

    def add_ulimit(self, name: str, soft: int, hard: int) -> State:
        """A state with a limit of processes, such as `nofile` (setrlimit(2))."""
        return self._with(ulimits=(*self.meta.ulimits, Ulimit(name, soft, hard)))

    def with_image_config(self, config: ImageConfig) -> State:
        """A state with what an image's config says of environment, directory and platform."""
        state = self
        for pair in config.config.env:
            key, _, value = pair.partition("=")
            if key:
                state = state.add_env(key, value)
        state = state.dir(config.config.working_dir)
        if config.architecture and config.os:
            state = state.platform(config.platform)
        return state

    def apply(self, *changes: Callable[[State], State]) -> State:
        """The state after these functions, one after the other."""
        state = self
        for change in changes:
            state = change(state)
        return state

    def with_output(self, output: Output | None, platform: Platform | None = None) -> State:
        """A state on another filesystem that keeps this one's environment, directory and user; with
        a platform if one is given."""
        state = State(output, self.meta, self.defaults)
        return state.platform(platform) if platform is not None else state

    def _with(self, **changes: object) -> State:
        return State(self.output, msgspec.structs.replace(self.meta, **changes), self.defaults)

    def with_defaults(self, defaults: Defaults) -> State:
        """A state to be marshalled with these defaults; so are states made from it."""
        return replace(self, defaults=defaults)

    # What can be done with it.

    def run(
        self,
        args: str | Sequence[str],
        *,
        mounts: Sequence[AnyMount] = (),
        readonly_root: bool = False,
        proxy: ProxyEnv | None = None,
        devices: Sequence[Device] = (),
        valid_exit_codes: Sequence[int] = (),
        env: Mapping[str, str] | None = None,
        dir: str | None = None,
        user: str | None = None,
        network: NetworkMode | None = None,
        security: SecurityMode | None = None,
        **options: Unpack[OpOptions],
    ) -> Exec:
        """Run a process on this filesystem. A text is split as a shell would, without a shell.

        `env`, `dir`, `user`, `network` and `security` hold for this process alone.
        """
        inside = self._inside(env, dir, user, network, security)
        binds, secrets, sockets = split_mounts(mounts)
        vertex = ExecVertex(
            args=tuple(shlex.split(args) if isinstance(args, str) else args),
            meta=inside.meta,
            root=self.output,
            readonly_root=readonly_root,
            mounts=binds,
            secrets=secrets,
            sockets=sockets,
            devices=tuple(devices),
            proxy=proxy,
            valid_exit_codes=tuple(valid_exit_codes),
            constraints=constraints_of(options),
        )
        root = vertex.mount_output("/", self.output)
        return Exec(self.with_output(root, options.get("platform")), vertex, binds)

    def _inside(
        self,
        env: Mapping[str, str] | None,
        dir: str | None,
        user: str | None,
        network: NetworkMode | None,
        security: SecurityMode | None,
    ) -> State:
        state = self
        for key, value in (env or {}).items():
            state = state.add_env(key, value)
        if dir is not None:
            state = state.dir(dir)
        settings = {"user": user, "network": network, "security": security}
        return state._with(**{k: v for k, v in settings.items() if v is not None})

    def file(self, action: FileAction, **options: Unpack[OpOptions]) -> State:
        """Change files: see `copy`, `mkdir`, `mkfile`, `rm` and `symlink`."""
        vertex = FileVertex(action.bind(self.output, self.cwd), constraints_of(options))
        return self.with_output(Edge(vertex))

    # What becomes of it.

    def marshal(self, defaults: Defaults | None = None) -> ops_pb2.Definition:
        """The definition to hand to a daemon; empty for scratch. Raises `InvalidRequest` for an op
        that is wrong in itself, or has text that is not UTF-8."""
        try:
            return define(self.output, defaults or self.defaults or Defaults())
        except UnicodeEncodeError:
            raise InvalidRequest("string field contains invalid UTF-8") from None


class Exec(Struct, frozen=True, eq=False):
    """A process that was run. `root` is the root filesystem after it."""

    root: State
    vertex: ExecVertex
    mounts: Sequence[object]

    def mount(self, target: str) -> State:
        """The filesystem mounted at `target`, after the process."""
        return State(self.vertex.mount_output(target, None), Meta(dir="/"))


def scratch() -> State:
    """An empty filesystem."""
    return State()
