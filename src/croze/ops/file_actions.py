"""The actions of a file op as steps for a worker process."""

from __future__ import annotations

from collections.abc import Callable

from croze.api import ops_pb2
from croze.errors import InvalidRequest
from croze.fs.copy.request import CopyRequest
from croze.fs.tree import edit
from croze.ops.file_plan import owner_of
from croze.ops.file_steps import Edit, FileStep, OwnerRequest

RootOf = Callable[[int], str]
"""The directory where a state can be seen."""


def make_step(
    action: ops_pb2.FileAction, root_of: RootOf, link_notes: str | None = None
) -> FileStep:
    """The step for an action whose states are at the roots that `root_of` tells; `link_notes` are
    those of the state that it copies from."""
    return FileStep(_change(action, root_of, link_notes), _owner(action, root_of))


def _owner(action: ops_pb2.FileAction, root_of: RootOf) -> OwnerRequest | None:
    owner = owner_of(action)
    if owner is None:
        return None
    user, user_root = _named(owner.user, root_of)
    group, group_root = _named(owner.group, root_of)
    return OwnerRequest(user, user_root, group, group_root)


def _named(option: ops_pb2.UserOpt, root_of: RootOf) -> tuple[str | int | None, str | None]:
    match option.WhichOneof("user"):
        case "byName":
            return option.byName.name, root_of(option.byName.input)
        case "byID":
            return option.byID, None
    return None, None


def _change(
    action: ops_pb2.FileAction, root_of: RootOf, link_notes: str | None
) -> CopyRequest | Edit:
    match action.WhichOneof("action"):
        case "copy":
            return _copy(action.copy, root_of(action.secondaryInput), link_notes)
        case "mkdir":
            d = action.mkdir
            arguments = {"path": d.path, "mode": d.mode & 0o777, "make_parents": d.makeParents}
            return Edit(edit.mkdir, {**arguments, "timestamp_ns": d.timestamp})
        case "mkfile":
            f = action.mkfile
            arguments = {"path": f.path, "data": f.data, "mode": f.mode & 0o777}
            return Edit(edit.mkfile, {**arguments, "timestamp_ns": f.timestamp})
        case "symlink":
            s = action.symlink
            arguments = {"oldpath": s.oldpath, "newpath": s.newpath}
            return Edit(edit.symlink, {**arguments, "timestamp_ns": s.timestamp})
        case "rm":
            r = action.rm
            arguments = {"path": r.path, "allow_not_found": r.allowNotFound}
            return Edit(edit.rm, {**arguments, "allow_wildcard": r.allowWildcard})
    raise InvalidRequest("invalid action type <nil>")


def _copy(action: ops_pb2.FileActionCopy, src_root: str, link_notes: str | None) -> CopyRequest:
    return CopyRequest(
        src_root=src_root,
        src=action.src,
        dst_root="",
        dst=action.dest,
        mode=action.mode,
        mode_str=action.modeStr,
        follow_symlink=action.followSymlink,
        dir_copy_contents=action.dirCopyContents,
        unpack=action.attemptUnpackDockerCompatibility,
        create_dest_path=action.createDestPath,
        allow_wildcard=action.allowWildcard,
        allow_empty_wildcard=action.allowEmptyWildcard,
        timestamp_ns=action.timestamp,
        include=tuple(action.include_patterns),
        exclude=tuple(action.exclude_patterns),
        required_paths=tuple(action.required_paths),
        always_replace=action.alwaysReplaceExistingDestPaths,
        link_notes=link_notes,
    )
