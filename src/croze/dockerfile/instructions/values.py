"""The instructions of the Dockerfile language as values.

Texts are as written, before expansion. `name` is the keyword as written (any case); `original` is
the joined line without continuation characters and surrounding space, as it goes into history.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from croze.dockerfile.location import Ranges

MountType = Literal["bind", "cache", "tmpfs", "secret", "ssh"]
"""`RUN --mount=type=`."""
NetworkMode = Literal["default", "none", "host"]
"""`RUN --network=`."""
SecurityMode = Literal["sandbox", "insecure"]
"""`RUN --security=`."""


class Instruction(Struct, frozen=True, kw_only=True):
    """What all instructions share."""

    name: str
    original: str
    location: Ranges = ()
    comments: tuple[str, ...] = ()
    """The comment lines right above, without `#` and surrounding space."""


class KeyValue(Struct, frozen=True):
    """A pair such as `key=value`. `legacy` is true for the form with a space instead of `=`."""

    key: str
    value: str
    legacy: bool = False

    def __str__(self) -> str:
        return f"{self.key}={self.value}"


class ArgPair(Struct, frozen=True):
    """An argument that ARG declares, `key` or `key=value`; `doc` is the description in the comment
    above."""

    key: str
    value: str | None = None
    doc: str = ""

    def __str__(self) -> str:
        return f"{self.key}={self.value or ''}"


class InlineFile(Struct, frozen=True):
    """A heredoc as source of COPY or ADD: leading tabs already removed for `<<-`."""

    path: str
    data: str
    expand: bool


class ShellFile(Struct, frozen=True):
    """A heredoc of RUN: `data` as written, `chomp` for `<<-` (tabs not yet removed)."""

    name: str
    data: str
    chomp: bool


class SourcesAndDest(Struct, frozen=True):
    """The sources and the destination of COPY and ADD; heredocs are in `contents`."""

    dest: str
    paths: tuple[str, ...] = ()
    contents: tuple[InlineFile, ...] = ()


class CommandForm(Struct, frozen=True):
    """A command in shell form (`shell` true, one word) or exec form."""

    args: tuple[str, ...]
    shell: bool
    files: tuple[ShellFile, ...] = ()


class RunMount(Struct, frozen=True):
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


class RunDevice(Struct, frozen=True):
    """One `RUN --device`."""

    name: str
    required: bool = False


class HealthcheckConfig(Struct, frozen=True):
    """Durations in nanoseconds, 0 where not given. `test` starts with NONE, CMD or CMD-SHELL."""

    test: tuple[str, ...]
    interval_ns: int = 0
    timeout_ns: int = 0
    start_period_ns: int = 0
    start_interval_ns: int = 0
    retries: int = 0


class EnvInstruction(Instruction, frozen=True, kw_only=True):
    """ENV. All values are expanded with the variables of before the instruction."""

    pairs: tuple[KeyValue, ...]


class Label(Instruction, frozen=True, kw_only=True):
    """LABEL, or labels from the build's options."""

    pairs: tuple[KeyValue, ...]
    literal: bool = False
    """True for labels from build options: their values are not expanded."""


class Maintainer(Instruction, frozen=True, kw_only=True):
    """MAINTAINER, which is deprecated: the image's author."""

    maintainer: str


class Copy(Instruction, frozen=True, kw_only=True):
    """COPY. `from_` names a stage, a build context or an image; empty is the build context."""

    files: SourcesAndDest
    from_: str = ""
    chown: str = ""
    chmod: str = ""
    link: bool = False
    parents: bool = False
    excludes: tuple[str, ...] = ()


class Add(Instruction, frozen=True, kw_only=True):
    """ADD. `keep_git_dir` and `unpack` are None where the flag was not given; `checksum` is a
    digest."""

    files: SourcesAndDest
    chown: str = ""
    chmod: str = ""
    link: bool = False
    checksum: str = ""
    keep_git_dir: bool | None = None
    unpack: bool | None = None
    excludes: tuple[str, ...] = ()


class Onbuild(Instruction, frozen=True, kw_only=True):
    """ONBUILD. `expression` is the trigger with its heredocs, as stored in the image config."""

    expression: str


class Workdir(Instruction, frozen=True, kw_only=True):
    """WORKDIR. A relative path is below the one before."""

    path: str


class Run(Instruction, frozen=True, kw_only=True):
    """`RUN` with its command, mounts and devices. `expand` fills in the mounts: before it they have
    only their `from_` fields."""

    command: CommandForm
    mount_flags: tuple[str, ...] = ()
    mounts: tuple[RunMount, ...] = ()
    devices: tuple[RunDevice, ...] = ()
    network: NetworkMode = "default"
    security: SecurityMode = "sandbox"


class Cmd(Instruction, frozen=True, kw_only=True):
    """CMD."""

    command: CommandForm


class Entrypoint(Instruction, frozen=True, kw_only=True):
    """ENTRYPOINT. It resets a CMD that the base image has."""

    command: CommandForm


class HealthcheckInstruction(Instruction, frozen=True, kw_only=True):
    """HEALTHCHECK."""

    config: HealthcheckConfig


class Expose(Instruction, frozen=True, kw_only=True):
    """Ports as written, sorted."""

    ports: tuple[str, ...]


class User(Instruction, frozen=True, kw_only=True):
    """USER: names or numbers, as `user[:group]`."""

    user: str


class Volume(Instruction, frozen=True, kw_only=True):
    """VOLUME."""

    volumes: tuple[str, ...]


class StopSignal(Instruction, frozen=True, kw_only=True):
    """STOPSIGNAL: a name or a number."""

    signal: str


class Arg(Instruction, frozen=True, kw_only=True):
    """ARG, before the first FROM or in a stage."""

    args: tuple[ArgPair, ...]


class Shell(Instruction, frozen=True, kw_only=True):
    """SHELL: the words that commands in shell form are handed to."""

    shell: tuple[str, ...]


class Stage(Struct, frozen=True, kw_only=True):
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
