"""The file op: copy, make and remove files, in one or more chained actions.

    state.file(llb.mkdir("/app").copy(context, "src", "/app/src").rm("/app/src/tmp"))

Relative destinations are seen from the state's directory, relative sources from the source's.
"""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from croze.api import ops_pb2
from croze.llb.graph import Output, Tree
from croze.llb.meta import clean_path, join_path

NONE = -1
"""An input or output that is not there; also a time or mode that is not set."""


class Owner(Struct, frozen=True):
    """Who files are given to. A name is looked up in the destination's own `/etc/passwd`."""

    user: int | str | None = None
    group: int | str | None = None

    def message(self, base: int) -> ops_pb2.ChownOpt:
        """The owner as `pb.ChownOpt`; names are looked up in the files of input `base`."""
        return ops_pb2.ChownOpt(
            user=_user_message(self.user, base), group=_user_message(self.group, base)
        )


def owner(text: str) -> Owner:
    """Read `user[:group]`, each a name or a number."""
    user, colon, group = text.partition(":")
    return Owner(_user(user), _user(group) if colon else None)


def _user(text: str) -> int | str:
    if text == "root":
        return 0
    digits = text[1:] if text[:1] in ("+", "-") else text
    if digits.isascii() and digits.isdigit() and -(1 << 31) <= int(text) < 1 << 31:
        return int(text)
    return text


def _user_message(user: int | str | None, base: int) -> ops_pb2.UserOpt | None:
    if user is None:
        return None
    if isinstance(user, str) and user:
        return ops_pb2.UserOpt(byName=ops_pb2.NamedUserOpt(name=user, input=base))
    return ops_pb2.UserOpt(byID=(user or 0) % (1 << 32) if isinstance(user, int) else 0)


class FileEdit(Protocol):
    """What one action does."""

    def fill(self, message: ops_pb2.FileAction, dir: str, base: int) -> None:
        """Write the action into `message`. Relative paths are below `dir`; `base` is the index of
        the input whose `/etc/passwd` names of owners are looked up in."""


class MkdirAction(Struct, frozen=True):
    """Makes a directory. `created_ns` becomes its time, since 1970."""

    path: str
    mode: int
    parents: bool = False
    owner: Owner | None = None
    created_ns: int | None = None

    def fill(self, message: ops_pb2.FileAction, dir: str, base: int) -> None:
        message.mkdir.path = destination(dir, self.path)
        message.mkdir.mode = self.mode & 0o777
        message.mkdir.makeParents = self.parents
        message.mkdir.timestamp = _time(self.created_ns)
        if self.owner is not None:
            message.mkdir.owner.CopyFrom(self.owner.message(base))


class MkfileAction(Struct, frozen=True):
    """Makes a file. `created_ns` becomes its time, since 1970."""

    path: str
    mode: int
    data: bytes
    owner: Owner | None = None
    created_ns: int | None = None

    def fill(self, message: ops_pb2.FileAction, dir: str, base: int) -> None:
        message.mkfile.path = destination(dir, self.path)
        message.mkfile.mode = self.mode & 0o777
        message.mkfile.data = self.data
        message.mkfile.timestamp = _time(self.created_ns)
        if self.owner is not None:
            message.mkfile.owner.CopyFrom(self.owner.message(base))


class SymlinkAction(Struct, frozen=True):
    """Makes `new_path` a symbolic link to `old_path`, which is taken as it stands."""

    old_path: str
    new_path: str
    owner: Owner | None = None
    created_ns: int | None = None

    def fill(self, message: ops_pb2.FileAction, dir: str, base: int) -> None:
        message.symlink.oldpath = self.old_path
        message.symlink.newpath = self.new_path
        message.symlink.timestamp = _time(self.created_ns)
        if self.owner is not None:
            message.symlink.owner.CopyFrom(self.owner.message(base))


class RmAction(Struct, frozen=True):
    """Removes a file or a tree."""

    path: str
    allow_not_found: bool = False
    allow_wildcard: bool = False

    def fill(self, message: ops_pb2.FileAction, dir: str, base: int) -> None:
        message.rm.path = destination(dir, self.path)
        message.rm.allowNotFound = self.allow_not_found
        message.rm.allowWildcard = self.allow_wildcard


class CopyOptions(Struct, frozen=True):
    """How files are copied. All off is a plain copy of one path."""

    mode: int | None = None
    mode_text: str = ""
    """A symbolic mode such as `u=rwX,go=rX`; goes before `mode`."""
    owner: Owner | None = None
    follow_symlinks: bool = False
    dir_contents: bool = False
    """Copy what is in a directory, not the directory."""
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    """Paths that must be there."""
    unpack: bool = False
    """Unpack an archive in place of copying it."""
    create_dest: bool = False
    wildcard: bool = False
    empty_wildcard: bool = False
    replace_dest: bool = False
    created_ns: int | None = None


class CopyAction(Struct, frozen=True, eq=False):
    """Copies files. `source` is a filesystem, or the state between two actions of another chain."""

    source: Output | FileAction | None
    source_dir: str
    src: str
    dest: str
    options: CopyOptions

    def fill(self, message: ops_pb2.FileAction, dir: str, base: int) -> None:
        options = self.options
        copy = message.copy
        copy.src = self._source_path()
        copy.dest = destination(dir, self.dest, keep_slash=True)
        if options.owner is not None:
            copy.owner.CopyFrom(options.owner.message(base))
        if options.mode_text:
            copy.modeStr = options.mode_text
        else:
            copy.mode = NONE if options.mode is None else options.mode
        copy.followSymlink = options.follow_symlinks
        copy.dirCopyContents = options.dir_contents
        copy.attemptUnpackDockerCompatibility = options.unpack
        copy.createDestPath = options.create_dest
        copy.allowWildcard = options.wildcard
        copy.allowEmptyWildcard = options.empty_wildcard
        copy.timestamp = _time(options.created_ns)
        copy.include_patterns.extend(options.include)
        copy.exclude_patterns.extend(options.exclude)
        copy.required_paths.extend(options.required)
        copy.alwaysReplaceExistingDestPaths = options.replace_dest

    def _source_path(self) -> str:
        path = clean_path(self.src)
        return path if path.startswith("/") else join_path(self.source_dir, path)


class FileAction(Struct, frozen=True, eq=False):
    """An action after those in `previous`. Bound to a state, it knows what it works on."""

    change: FileEdit
    previous: FileAction | None = None
    base: Output | None = None
    dir: str = "/"

    def then(self, next: FileAction) -> FileAction:
        """This action and then that one, which must be single."""
        return replace(next, previous=self)

    def copy(
        self,
        source: Tree | FileAction,
        src: str,
        dest: str,
        options: CopyOptions | None = None,
    ) -> FileAction:
        """This action, and then a copy; see `llb.copy`."""
        return self.then(copy(source, src, dest, options))

    def mkdir(
        self,
        path: str,
        mode: int = 0o755,
        *,
        parents: bool = False,
        owner: Owner | None = None,
        created_ns: int | None = None,
    ) -> FileAction:
        """This action, and then a directory; see `llb.mkdir`."""
        action = mkdir(path, mode, parents=parents, owner=owner, created_ns=created_ns)
        return self.then(action)

    def mkfile(
        self,
        path: str,
        data: bytes | str,
        mode: int = 0o644,
        *,
        owner: Owner | None = None,
        created_ns: int | None = None,
    ) -> FileAction:
        """This action, and then a file; see `llb.mkfile`."""
        return self.then(mkfile(path, data, mode, owner=owner, created_ns=created_ns))

    def rm(
        self, path: str, *, allow_not_found: bool = False, allow_wildcard: bool = False
    ) -> FileAction:
        """This action, and then a removal; see `llb.rm`."""
        action = rm(path, allow_not_found=allow_not_found, allow_wildcard=allow_wildcard)
        return self.then(action)

    def symlink(self, old_path: str, new_path: str, *, owner: Owner | None = None) -> FileAction:
        """This action, and then a symbolic link; see `llb.symlink`."""
        return self.then(symlink(old_path, new_path, owner=owner))

    def with_state(self, state: Tree) -> FileAction:
        """The chain as a source for `copy`: what it makes of `state`."""
        return self.bind(state.output, state.cwd)

    def bind(self, base: Output | None, dir: str) -> FileAction:
        """The whole chain, working on `base` in the directory `dir`."""
        bound: FileAction | None = None
        for action in self.chain():
            bound = replace(action, previous=bound, base=base, dir=dir)
        assert bound is not None
        return bound

    def chain(self) -> list[FileAction]:
        """All actions, first to last."""
        actions: list[FileAction] = []
        action: FileAction | None = self
        while action is not None:
            actions.append(action)
            action = action.previous
        return actions[::-1]


def mkdir(
    path: str,
    mode: int = 0o755,
    *,
    parents: bool = False,
    owner: Owner | None = None,
    created_ns: int | None = None,
) -> FileAction:
    """Make a directory."""
    return FileAction(MkdirAction(path, mode, parents, owner, created_ns))


def mkfile(
    path: str,
    data: bytes | str,
    mode: int = 0o644,
    *,
    owner: Owner | None = None,
    created_ns: int | None = None,
) -> FileAction:
    """Make a file."""
    content = data.encode() if isinstance(data, str) else data
    return FileAction(MkfileAction(path, mode, content, owner, created_ns))


def rm(path: str, *, allow_not_found: bool = False, allow_wildcard: bool = False) -> FileAction:
    """Remove a file or a tree."""
    return FileAction(RmAction(path, allow_not_found, allow_wildcard))


def symlink(old_path: str, new_path: str, *, owner: Owner | None = None) -> FileAction:
    """Make `new_path` point to `old_path`."""
    return FileAction(SymlinkAction(old_path, new_path, owner))


def copy(
    source: Tree | FileAction, src: str, dest: str, options: CopyOptions | None = None
) -> FileAction:
    """Copy `src` in `source` to `dest`. See `CopyOptions`."""
    options = options or CopyOptions()
    if isinstance(source, FileAction):
        return FileAction(CopyAction(source, source.dir, src, dest, options))
    return FileAction(CopyAction(source.output, source.cwd, src, dest, options))


def destination(dir: str, path: str, *, keep_slash: bool = False) -> str:
    """The path seen from `dir`, absolute. A final `/` or `/.` can be kept: it means a directory."""
    cleaned = clean_path(path)
    if not cleaned.startswith("/"):
        cleaned = join_path("/", dir, cleaned)
    if keep_slash:
        if path.endswith("/") and not cleaned.endswith("/"):
            cleaned += "/"
        elif path.endswith("/."):
            cleaned = cleaned if cleaned == "/" else cleaned + "/"
            cleaned += "."
    return cleaned


def _time(created_ns: int | None) -> int:
    return NONE if created_ns is None else created_ns
