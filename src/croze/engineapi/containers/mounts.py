"""What a container has mounted besides its own files: directories and files of the host, and tmpfs.
Pure.

Source: Docker Engine API, `HostConfig.Binds`, `Mounts` and `Tmpfs`.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence

import msgspec

from croze.errors import InvalidRequest, Unsupported
from croze.runtime.contract import ContainerMount
from croze.store.contract import MountSpec

PROPAGATION = frozenset({"", "rprivate", "private"})
"""What mounts are here anyway."""
BIND_WORDS = PROPAGATION | {"z", "Z", "rw", "ro", "delegated", "cached"}
TMPFS_DEFAULTS = ("noexec", "nosuid", "nodev")
TMPFS_FLAGS = frozenset(
    {
        *("exec", "noexec", "suid", "nosuid", "dev", "nodev", "rw", "ro", "atime", "noatime"),
        *("diratime", "nodiratime", "relatime", "norelatime", "strictatime", "nostrictatime"),
        *("sync", "async", "dirsync", "mand", "nomand"),
    }
)
TMPFS_VALUES = frozenset({"size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol"})


class BindOptions(msgspec.Struct, rename="pascal"):
    """`BindOptions` of an entry of `Mounts`."""

    propagation: str = ""
    non_recursive: bool = False
    create_mountpoint: bool = False
    read_only_non_recursive: bool = False
    read_only_force_recursive: bool = False


class TmpfsOptions(msgspec.Struct, rename="pascal"):
    """`TmpfsOptions` of an entry of `Mounts`: bytes, and a file mode."""

    size_bytes: int = 0
    mode: int = 0
    options: list[list[str]] | None = None


class MountRequest(msgspec.Struct, rename="pascal"):
    """An entry of `Mounts`."""

    type: str
    source: str = ""
    target: str = ""
    read_only: bool = False
    bind_options: BindOptions | None = None
    tmpfs_options: TmpfsOptions | None = None

    @property
    def makes_source(self) -> bool:
        """Whether a directory of the host that is missing is made."""
        return self.bind_options is not None and self.bind_options.create_mountpoint


def of_bind(text: str) -> ContainerMount:
    """The mount that an entry of `Binds` means: `source:target:options`. Raises `Unsupported` for
    volumes."""
    source, _, rest = text.partition(":")
    target, _, options = rest.partition(":")
    if unknown := set(options.split(",")) - BIND_WORDS:
        raise Unsupported(f"{', '.join(sorted(unknown))} of the mount {text} is not served here")
    return _bind(source, target or source, readonly="ro" in options.split(","))


def of_request(mount: MountRequest) -> ContainerMount:
    """The mount that an entry of `Mounts` means. Raises `Unsupported`, and `InvalidRequest`."""
    if mount.type == "tmpfs":
        return of_tmpfs(mount.target, _tmpfs_words(mount))
    if mount.type != "bind":
        raise Unsupported(
            f"a mount of type {mount.type} is not served here: use a bind mount or tmpfs"
        )
    options = mount.bind_options or BindOptions()
    if options.propagation not in PROPAGATION:
        raise Unsupported(f"the propagation {options.propagation} of a mount is not served here")
    for name, is_set in (
        ("NonRecursive", options.non_recursive),
        ("ReadOnlyNonRecursive", options.read_only_non_recursive),
        ("ReadOnlyForceRecursive", options.read_only_force_recursive),
    ):
        if is_set:
            raise Unsupported(f"{name} of a mount is not served here")
    return _bind(mount.source, mount.target, readonly=mount.read_only)


def _bind(source: str, target: str, *, readonly: bool) -> ContainerMount:
    if not source.startswith("/"):
        raise Unsupported(f"volume {source} is not served here: use a directory of the host")
    if "\0" in source:
        raise InvalidRequest('invalid mount config for type "bind": a path with a zero byte')
    return ContainerMount(
        dest=_target(target),
        mounts=[MountSpec("bind", posixpath.normpath(source), ("rbind",))],
        readonly=readonly,
    )


def of_tmpfs(target: str, options: Sequence[str]) -> ContainerMount:
    """A tmpfs with these options on top of Docker's own. Raises `InvalidRequest` in its words."""
    chosen = [word for word in options if word]
    for word in chosen:
        if word not in TMPFS_FLAGS and word.partition("=")[0] not in TMPFS_VALUES:
            raise InvalidRequest(f'invalid tmpfs option "{word}"')
    defaults = [word for word in TMPFS_DEFAULTS if word.removeprefix("no") not in chosen]
    return ContainerMount(
        dest=_target(target), mounts=[MountSpec("tmpfs", "tmpfs", (*defaults, *chosen))]
    )


def of_tmpfs_map(tmpfs: Mapping[str, str]) -> list[ContainerMount]:
    """The mounts of `HostConfig.Tmpfs`, which has options by target."""
    return [of_tmpfs(target, options.split(",")) for target, options in tmpfs.items()]


def _tmpfs_words(mount: MountRequest) -> list[str]:
    options = mount.tmpfs_options or TmpfsOptions()
    words = ["ro"] if mount.read_only else []
    words += [f"size={options.size_bytes}"] if options.size_bytes else []
    words += [f"mode={options.mode:o}"] if options.mode else []
    return words + ["=".join(pair) for pair in options.options or ()]


def _target(target: str) -> str:
    if not target.startswith("/") or posixpath.normpath(target) == "/":
        raise InvalidRequest(f"invalid mount path: '{target}' mount path must be absolute")
    if "\0" in target:
        raise InvalidRequest("invalid mount path: a path with a zero byte")
    return posixpath.normpath(target)
