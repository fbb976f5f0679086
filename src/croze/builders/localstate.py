"""What buildx remembers of a build on this machine: `refs/BUILDER/NODE/ID`.

The daemon's record knows no paths of the client's; with these, `history` can name a build by the
directory and Dockerfile that it was made from.

Source: docker/buildx `localstate/localstate.go`, `util/history/name.go`.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from croze.builders.files import BuilderFiles
from croze.errors import InvalidRequest
from croze.files.settings import read_settings
from croze.gotypes import gojson
from croze.llb.gitref import parse_git_ref

GROUPS = "__group__"
_VERSION = b"2"
"""The version of the files. Older ones of groups hold more, which nobody asks for any more."""


class LocalState(msgspec.Struct, frozen=True, rename="pascal", omit_defaults=True):
    """The paths that a build was made from. `local_path` is the context, absolute or remote, `-`
    for standard input; `dockerfile_path` absolute, or relative to a remote context; `group_ref` the
    Bake call that a build is of."""

    target: str = ""
    local_path: str = ""
    dockerfile_path: str = ""
    group_ref: str = ""


class StateGroup(msgspec.Struct, frozen=True, rename="pascal", omit_defaults=True):
    """Builds of one Bake call: what was asked for, and their ids."""

    targets: tuple[str, ...] = ()
    refs: tuple[str, ...] | None = None


class _SavedState(msgspec.Struct, frozen=True):
    """`LocalState` as the file has it."""

    Target: str
    LocalPath: str
    DockerfilePath: str
    GroupRef: str | msgspec.UnsetType = msgspec.UNSET


class _SavedGroup(msgspec.Struct, frozen=True):
    """`StateGroup` as the file has it."""

    Targets: Sequence[str] | msgspec.UnsetType
    Refs: Sequence[str] | None


def read_group(directory: Path, ref: str) -> StateGroup:
    """The group of builds of that reference. Raises `OSError` if it is not there, and
    `InvalidRequest` for a file of something else."""
    path = directory / "refs" / GROUPS / ref
    if not _is_name(ref):
        raise InvalidRequest(f"invalid reference of a group of builds: {ref}")
    try:
        return gojson.unmarshal(read_settings(path), type=StateGroup)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise InvalidRequest(f"{path}: {error}") from None


def save(
    files: BuilderFiles,
    builder: str,
    node: str,
    ref: str,
    state: LocalState,
    sync: Callable[[int], None] | None = None,
) -> None:
    """Write what is remembered of a build, as a whole; no lock is needed, since nobody changes
    it. `sync` as of `write_atomically`. Raises `InvalidRequest` for a reference that is no name:
    those of imported records are anybody's."""
    if not all(map(_is_name, (builder, node, ref))):
        raise InvalidRequest(f"invalid reference of a build: {builder}/{node}/{ref}")
    group = {"GroupRef": state.group_ref} if state.group_ref else {}
    saved = _SavedState(state.target, state.local_path, state.dockerfile_path, **group)
    files.make_directory(f"refs/{builder}/{node}")
    files.write(f"refs/{builder}/{node}/{ref}", gojson.marshal(saved), 0o644, sync)


def save_group(files: BuilderFiles, id: str, targets: Sequence[str], refs: Sequence[str]) -> None:
    """Write down the builds of one Bake call, and what it was asked for. Raises `InvalidRequest`
    for an id that is no name."""
    if not _is_name(id):
        raise InvalidRequest(f"invalid reference of a group of builds: {id}")
    files.make_directory(f"refs/{GROUPS}")
    _write_group(files, id, targets, refs)
    _migrate(files)


def _write_group(
    files: BuilderFiles, id: str, targets: Sequence[str], refs: Sequence[str] | None
) -> None:
    saved = _SavedGroup(targets or msgspec.UNSET, refs)
    files.write(f"refs/{GROUPS}/{id}", gojson.marshal(saved), 0o600)


def _migrate(files: BuilderFiles) -> None:
    """Write the groups of before version 2 anew, once, as buildx does; what is no group stays."""
    folder = files.directory / "refs"
    with contextlib.suppress(OSError):
        if (folder / "version").read_bytes() == _VERSION:
            return
    for path in sorted((folder / GROUPS).iterdir()):
        try:
            group = read_group(files.directory, path.name)
        except (OSError, InvalidRequest):
            continue
        _write_group(files, path.name, group.targets, group.refs)
    files.write("refs/version", _VERSION)


def read(directory: Path, builder: str, node: str, ref: str) -> LocalState | None:
    """What is remembered of a build; None for one of another machine, and for a file that holds
    something else."""
    if not all(map(_is_name, (builder, node, ref))):
        return None
    try:
        data = read_settings(directory / "refs" / builder / node / ref)
        return gojson.unmarshal(data, type=LocalState)
    except (OSError, msgspec.MsgspecError, RecursionError):
        return None


def _is_name(part: str) -> bool:
    """Whether it names a file in a directory, and nothing outside."""
    return part not in ("", ".", "..") and "/" not in part and "\0" not in part


def build_name(attrs: Mapping[str, str], state: LocalState | None) -> str:
    """What a build is called in lists: its directory, Dockerfile and target, as short as tells."""
    if attrs.get("build-arg:BUILDKIT_BUILD_NAME"):
        return attrs["build-arg:BUILDKIT_BUILD_NAME"]
    name = attrs.get("context", "") or _inner_dir(attrs, "context") or _of_files(attrs, state)
    target = attrs.get("target", "")
    if target:
        return f"{name} ({target})" if name else target
    return name or _repository(attrs.get("vcs:source", "") or attrs.get("input:context", ""))


def _repository(address: str) -> str:
    """A repository's address with what is built of it behind a hash, though a query may have asked
    for it."""
    try:
        ref = parse_git_ref(address)
    except InvalidRequest:
        ref = None
    if ref is None:
        return address
    return ref.remote + (f"#{ref.ref}" if ref.ref else "")


def _inner_dir(attrs: Mapping[str, str], what: str) -> str:
    """The directory within its repository, unless it is the top."""
    folder = attrs.get(f"vcs:localdir:{what}", "")
    return "" if folder == "." else folder


def _of_files(attrs: Mapping[str, str], state: LocalState | None) -> str:
    dockerfile = attrs.get("filename", "")
    dockerfile = "" if dockerfile == "Dockerfile" else dockerfile
    if folder := _inner_dir(attrs, "dockerfile"):
        dockerfile = os.path.normpath(os.path.join(folder, dockerfile))
    context = ""
    if state is not None and "://" not in state.local_path:
        context = "" if state.local_path == "-" else state.local_path
        if state.dockerfile_path not in ("", "-", "Dockerfile"):
            dockerfile = state.dockerfile_path
    plain = not dockerfile or dockerfile.endswith("/Dockerfile")
    dockerfile = dockerfile.removesuffix("/Dockerfile")
    if dockerfile.startswith(context) and len(dockerfile) > len(context):
        return dockerfile[context.rfind("/") + 1 :]
    path = dockerfile or context
    folder, slash, last = path.rpartition("/")
    if plain or not path:
        return last
    return os.path.join(os.path.basename(folder if slash else path), last)
