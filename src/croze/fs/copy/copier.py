"""The recursive part of a copy: one source entry to one target path, and all below it."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

from croze.errors import InvalidRequest
from croze.fs.copy.modes import parse_mode
from croze.fs.entry import OVERLAY_XATTRS
from croze.fs.filecopy import copy_bytes
from croze.fs.match.patterns import MatchState, PatternMatcher
from croze.fs.remove import remove_tree
from croze.fs.tree.walk import Found, read_dir

if TYPE_CHECKING:
    from croze.fs.copy.request import CopyRequest


class _Delayed:
    """A directory on the way down; made only once something below it is wanted. `made` says that
    it was not there before."""

    __slots__ = ("copied", "made", "source", "stat", "target")

    def __init__(self, source: str, target: str, st: os.stat_result, copied: bool) -> None:
        self.source = source
        self.target = target
        self.stat = st
        self.copied = copied
        self.made = False


class TreeCopier:
    """Copies one source; remembers hard links within it."""

    def __init__(self, request: CopyRequest, *, link: bool = False) -> None:
        """`link`: files that don't change are hard-linked."""
        self._owner = request.owner
        self._time = request.timestamp_ns
        self._replace = request.always_replace
        self._link = link
        self._change_mode = parse_mode(request.mode_str) if request.mode_str else None
        if self._change_mode is None and request.mode != -1:
            bits = request.mode & 0o7777
            self._change_mode = lambda mode: stat.S_IFMT(mode) | bits
        self._include = _matcher(request.include, "include")
        self._exclude = _matcher(request.exclude, "exclude")
        self._firsts: dict[tuple[int, int], str] = {}
        self._parents: list[_Delayed] = []

    def copy_top(self, source: str, target: str) -> None:
        """Copy the entry at `source` to `target`. An existing directory keeps its attributes."""
        st = os.lstat(source)
        if stat.S_ISDIR(st.st_mode):
            self._remove_conflict(target, is_dir=True)
            existed = os.path.lexists(target)
            directory = _Delayed(source, target, st, copied=True)
            directory.made = self._make_dir(target, st, overwrite=False)
            self._copy_children(directory, "", None, None)
            if existed:
                self._set_time(target, st)
            else:
                self._set_attributes(source, target, st)
        else:
            self._clear_leaf(target)
            self._copy_leaf(source, target, st)

    def _copy_children(
        self,
        directory: _Delayed,
        below: str,
        included: MatchState | None,
        excluded: MatchState | None,
    ) -> None:
        self._parents.append(directory)
        for child in read_dir(directory.source):
            path = f"{below}/{child[0]}" if below else child[0]
            if self._include is None and self._exclude is None:
                self._copy_child(directory, child, path, None, None, selected=True)
            else:
                self._filter_child(directory, child, path, included, excluded)
        self._parents.pop()

    def _filter_child(
        self,
        parent: _Delayed,
        child: Found,
        path: str,
        included: MatchState | None,
        excluded: MatchState | None,
    ) -> None:
        selected = True
        inner_in: MatchState | None = None
        inner_out: MatchState | None = None
        if self._include is not None:
            selected, inner_in = self._include.walk_match(path, included)
        if self._exclude is not None:
            hit, inner_out = self._exclude.walk_match(path, excluded)
            selected = selected and not hit
            if hit and not self._exclude.has_exclusions:
                return
        self._copy_child(parent, child, path, inner_in, inner_out, selected=selected)

    def _copy_child(
        self,
        parent: _Delayed,
        child: Found,
        path: str,
        included: MatchState | None,
        excluded: MatchState | None,
        *,
        selected: bool,
    ) -> None:
        name, source, st = child
        target = f"{parent.target}/{name}"
        if not stat.S_ISDIR(st.st_mode):
            if selected:
                self._make_parents()
                if not parent.made:
                    self._clear_leaf(target)
                self._copy_leaf(source, target, st)
            return
        directory = _Delayed(source, target, st, copied=selected)
        if selected:
            self._make_parents()
            self._remove_conflict(target, is_dir=True)
            directory.made = self._make_dir(target, st, overwrite=True)
        self._copy_children(directory, path, included, excluded)
        if selected:
            self._set_attributes(source, target, st)

    def _make_parents(self) -> None:
        for parent in self._parents:
            if not parent.copied:
                parent.copied = True
                parent.made = self._make_dir(parent.target, parent.stat, overwrite=True)
                if parent.made:
                    self._set_attributes(parent.source, parent.target, parent.stat)

    def _make_dir(self, target: str, st: os.stat_result, *, overwrite: bool) -> bool:
        """Make the directory, or merge into the one there; whether it was made."""
        try:
            os.mkdir(target, stat.S_IMODE(st.st_mode))
        except FileExistsError:
            if not stat.S_ISDIR(os.lstat(target).st_mode):
                raise InvalidRequest(f"cannot copy to non-directory: {target}") from None
            if overwrite:
                os.chmod(target, stat.S_IMODE(st.st_mode))
            return False
        return True

    def _remove_conflict(self, target: str, *, is_dir: bool) -> None:
        """Take away what is there with `always_replace`, unless directories can be merged."""
        if not self._replace:
            return
        try:
            there = os.lstat(target)
        except FileNotFoundError:
            return
        if not (is_dir and stat.S_ISDIR(there.st_mode)):
            remove_tree(target)

    def _clear_leaf(self, target: str) -> None:
        self._remove_conflict(target, is_dir=False)
        try:
            os.unlink(target)
        except FileNotFoundError:
            return
        except (IsADirectoryError, PermissionError):
            if os.path.isdir(target):
                raise InvalidRequest(f"cannot replace to directory {target} with file") from None
            raise

    def _copy_leaf(self, source: str, target: str, st: os.stat_result) -> None:
        """Copy what is no directory to where nothing is."""
        mode = st.st_mode
        if stat.S_ISREG(mode):
            self._copy_file(source, target, st)
            return
        if stat.S_ISLNK(mode):
            os.symlink(os.readlink(source), target)
        else:
            # A socket becomes an empty regular file.
            kind = stat.S_IMODE(mode) if stat.S_ISSOCK(mode) else mode
            os.mknod(target, kind, st.st_rdev)
        self._set_attributes(source, target, st)

    def _copy_file(self, source: str, target: str, st: os.stat_result) -> None:
        if st.st_nlink > 1:
            first = self._firsts.setdefault((st.st_dev, st.st_ino), target)
            if first != target:
                os.link(first, target, follow_symlinks=False)
                return
        if self._link and self._try_link(source, target, st):
            return
        source_fd = os.open(source, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            target_fd = os.open(target, flags, 0o600)
            try:
                if st.st_size:
                    copy_bytes(source_fd, target_fd, st.st_size)
                self._set_fd_attributes(source_fd, target_fd, st)
            finally:
                os.close(target_fd)
        finally:
            os.close(source_fd)

    def _try_link(self, source: str, target: str, st: os.stat_result) -> bool:
        """Link instead of copying if the result would be the same in all respects."""
        owner = self._owner
        if owner is not None and (owner.uid, owner.gid) != (st.st_uid, st.st_gid):
            return False
        if self._change_mode is not None and self._change_mode(st.st_mode) != st.st_mode:
            return False
        if self._time not in (-1, st.st_mtime_ns):
            return False
        try:
            os.link(source, target, follow_symlinks=False)
        except OSError as error:
            if error.errno in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP):
                self._link = error.errno == errno.EMLINK
                return False
            raise
        return True

    def _set_fd_attributes(self, source_fd: int, target_fd: int, st: os.stat_result) -> None:
        uid, gid = self._ids(st)
        os.fchown(target_fd, uid, gid)
        mode = self._change_mode(st.st_mode) if self._change_mode else st.st_mode
        os.fchmod(target_fd, stat.S_IMODE(mode))
        for name in _list_xattrs(source_fd):
            _copy_xattr(source_fd, target_fd, name)
        os.utime(target_fd, ns=self._times(st))

    def _set_attributes(self, source: str, target: str, st: os.stat_result) -> None:
        uid, gid = self._ids(st)
        os.chown(target, uid, gid, follow_symlinks=False)
        if not stat.S_ISLNK(st.st_mode):
            mode = self._change_mode(st.st_mode) if self._change_mode else st.st_mode
            os.chmod(target, stat.S_IMODE(mode))
        for name in _list_xattrs(source):
            _copy_xattr(source, target, name)
        self._set_time(target, st)

    def _set_time(self, target: str, st: os.stat_result) -> None:
        os.utime(target, ns=self._times(st), follow_symlinks=False)

    def _times(self, st: os.stat_result) -> tuple[int, int]:
        if self._time != -1:
            return self._time, self._time
        return st.st_atime_ns, st.st_mtime_ns

    def _ids(self, st: os.stat_result) -> tuple[int, int]:
        if self._owner is not None:
            return self._owner.uid, self._owner.gid
        return st.st_uid, st.st_gid


def _list_xattrs(where: str | int) -> list[str]:
    try:
        names = os.listxattr(where, follow_symlinks=isinstance(where, int))
    except OSError:
        return []
    return [name for name in names if not name.startswith(OVERLAY_XATTRS)] if names else names


def _copy_xattr(source: str | int, target: str | int, name: str) -> None:
    """Copy one attribute; those the target refuses are left out, as BuildKit does."""
    follow = isinstance(source, int)
    try:
        value = os.getxattr(source, name, follow_symlinks=follow)
        os.setxattr(target, name, value, follow_symlinks=follow)
    except OSError:
        return


def _matcher(patterns: object, kind: str) -> PatternMatcher | None:
    texts = list(patterns) if isinstance(patterns, (list, tuple)) else []
    if not texts:
        return None
    try:
        return PatternMatcher(texts)
    except InvalidRequest as error:
        raise error.wrap(f"invalid {kind}patterns: [{' '.join(texts)}]") from None
