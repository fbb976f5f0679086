"""The instructions of the Dockerfile language as values.

Texts are as written, before expansion. `name` is the keyword as written (any case); `original` is
the joined line without continuation characters and surrounding space, as it goes into history.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from croze.dockerfile.location import Ranges

MountType = Literal["bind", "cache", "tmpfs", "secret", "ssh"]
NetworkMode = Literal["default", "none", "host"]
SecurityMode = Literal["sandbox", "insecure"]


@dataclass(frozen=True, kw_only=True)
class Instruction:
    """What all instructions share."""

    name: str
    original: str
    location: Ranges = ()
    comments: tuple[str, ...] = ()
    """The comment lines right above, without `#` and surrounding space."""


@dataclass(frozen=True)
class KeyValue:
    """`key=value`. `legacy` is true for the form with a space instead of `=`."""

    key: str
    value: str
    legacy: bool = False

    def __str__(self) -> str:
        return f"{self.key}={self.value}"


@dataclass(frozen=True)
class ArgPair:
    """`key` or `key=value`; `doc` is the description in the comment above."""

    key: str
    value: str | None = None
    doc: str = ""

    def __str__(self) -> str:
        return f"{self.key}={self.value or ''}"


@dataclass(frozen=True)
class InlineFile:
    """A heredoc as source of COPY or ADD: leading tabs already removed for `<<-`."""

    path: str
    data: str
    expand: bool


@dataclass(frozen=True)
class ShellFile:
    """A heredoc of RUN: `data` as written, `chomp` for `<<-` (tabs not yet removed)."""

    name: str
    data: str
    chomp: bool


@dataclass(frozen=True)
class SourcesAndDest:
    """`sources dest` of COPY and ADD; heredocs are in `contents`."""

    dest: str
    paths: tuple[str, ...] = ()
    contents: tuple[InlineFile, ...] = ()


@dataclass(frozen=True)
class CommandLine:
    """A command in shell form (`shell` true, one word) or exec form."""

    args: tuple[str, ...]
    shell: bool
    files: tuple[ShellFile, ...] = ()


@dataclass(frozen=True)
class RunMount:
    """One `RUN --mount`. Modes and ids are None where not given; `size_bytes` 0 is no limit."""

    type: MountType = "bind"
    from_: str = ""
    source: str = ""
    target: str = ""
    readonly: bool = False
    size_bytes: int = 0
    id: str = ""
    sharing: str = ""
    """`shared`, `private`, `locked`, or empty where not given."""
    required: bool = False
    env: str | None = None
    """The variable of a secret; an empty name means the default one."""
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None


@dataclass(frozen=True)
class Device:
    """One `RUN --device`."""

    name: str
    required: bool = False


@dataclass(frozen=True)
class HealthcheckConfig:
    """Durations in nanoseconds, 0 where not given. `test` starts with NONE, CMD or CMD-SHELL."""

    test: tuple[str, ...]
    interval_ns: int = 0
    timeout_ns: int = 0
    start_period_ns: int = 0
    start_interval_ns: int = 0
    retries: int = 0


@dataclass(frozen=True, kw_only=True)
class Env(Instruction):
    pairs: tuple[KeyValue, ...]


@dataclass(frozen=True, kw_only=True)
class Label(Instruction):
    pairs: tuple[KeyValue, ...]
    literal: bool = False
    """True for labels from build options: their values are not expanded."""


@dataclass(frozen=True, kw_only=True)
class Maintainer(Instruction):
    maintainer: str


@dataclass(frozen=True, kw_only=True)
class Copy(Instruction):
    files: SourcesAndDest
    from_: str = ""
    chown: str = ""
    chmod: str = ""
    link: bool = False
    parents: bool = False
    excludes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Add(Instruction):
    files: SourcesAndDest
    chown: str = ""
    chmod: str = ""
    link: bool = False
    checksum: str = ""
    keep_git_dir: bool | None = None
    unpack: bool | None = None
    excludes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Onbuild(Instruction):
    """`expression` is the trigger with its heredocs, as stored in the image config."""

    expression: str


@dataclass(frozen=True, kw_only=True)
class Workdir(Instruction):
    path: str


@dataclass(frozen=True, kw_only=True)
class Run(Instruction):
    """Until `expand` has run, `mounts` has only its `from_` fields filled in."""

    command: CommandLine
    mount_flags: tuple[str, ...] = ()
    mounts: tuple[RunMount, ...] = ()
    devices: tuple[Device, ...] = ()
    network: NetworkMode = "default"
    security: SecurityMode = "sandbox"
    flags_used: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Cmd(Instruction):
    command: CommandLine


@dataclass(frozen=True, kw_only=True)
class Entrypoint(Instruction):
    command: CommandLine


@dataclass(frozen=True, kw_only=True)
class Healthcheck(Instruction):
    config: HealthcheckConfig


@dataclass(frozen=True, kw_only=True)
class Expose(Instruction):
    """Ports as written, sorted."""

    ports: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class User(Instruction):
    user: str


@dataclass(frozen=True, kw_only=True)
class Volume(Instruction):
    volumes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class StopSignal(Instruction):
    signal: str


@dataclass(frozen=True, kw_only=True)
class Arg(Instruction):
    args: tuple[ArgPair, ...]


@dataclass(frozen=True, kw_only=True)
class Shell(Instruction):
    shell: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Stage:
    """FROM and all that follows until the next one. `name` is in lower case, empty if none."""

    name: str
    base: str
    platform: str
    keyword: str
    """FROM as written."""
    original: str
    location: Ranges
    comments: tuple[str, ...] = ()
    doc: str = ""
    instructions: tuple[Instruction, ...] = ()
