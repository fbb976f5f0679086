"""Creates the members of an archive below a root, whatever the archive says.

Parents are resolved inside the root (absolute links start there, `..` stops there), the last
component is never followed, what is in the way is replaced, and directory times are set last.
Nobody else may write below the root meanwhile.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from contextlib import suppress

from croze.errors import Corrupted
from croze.fs.entry import OVERLAY_XATTRS, device_of
from croze.fs.filecopy import copy_bytes, write_all
from croze.fs.owner import NumericOwner
from croze.fs.paths import rooted
from croze.fs.remove import remove_tree
from croze.fs.root import resolve
from croze.fs.tar.read import Member, TarReader
from croze.fs.tree.view import DirectoryView, is_whiteout
from croze.fs.userns import give, in_user_namespace, overlay_xattr

_READ = 1 << 20
_IGNORED_XATTR_ERRORS = (errno.ENOTSUP, errno.EPERM, errno.EINVAL)
_DEVICES = {"3": stat.S_IFCHR, "4": stat.S_IFBLK, "6": stat.S_IFIFO}


class Extractor:
    """Puts members below `root`. `owner` overrides theirs; `parents` are the overlay lower
    directories (top first) whose attributes missing parents take over."""

    def __init__(
        self,
        root: str,
        reader: TarReader,
        *,
        owner: NumericOwner | None = None,
        parents: Sequence[str] = (),
        overlay: bool = False,
    ) -> None:
        self.root = root.rstrip("/")
        self._reader = reader
        self._owner = owner
        self._lower = DirectoryView(parents, overlay=True) if parents else None
        self._overlay = overlay
        self._parents: dict[str, str] = {"/": self.root}
        self._dir_times: dict[str, int] = {}

    def place(self, member: Member) -> tuple[str, str, str] | None:
        """Where the member belongs: its path below the root, host directory (made if it was
        missing) and name. None for the root itself."""
        path = rooted(member.name)
        if path == "/":
            return None
        at = path.rfind("/")
        above = path[:at] or "/"
        return path, self._parents.get(above) or self._make_parent(above), path[at + 1 :]

    def _make_parent(self, above: str) -> str:
        host = resolve(self.root, above)
        missing = []
        current = host
        while not _is_dir(current):
            missing.append(current)
            current = current[: current.rfind("/")]
        for directory in reversed(missing):
            os.mkdir(directory, 0o755)
            self._copy_attributes(directory)
        self._parents[above] = host
        return host

    def _copy_attributes(self, directory: str) -> None:
        """Give a new directory of an overlay layer the attributes of the one below it."""
        if self._lower is None:
            os.chmod(directory, 0o755)
            return
        view = self._lower
        parts = directory[len(self.root) + 1 :].split("/")
        for part in parts[:-1]:
            view = view.enter(part)
        item = view.lookup(parts[-1])
        if item is None or not stat.S_ISDIR(item[1].st_mode):
            os.chmod(directory, 0o755)
            return
        source, st = item
        os.chown(directory, st.st_uid, st.st_gid)
        os.chmod(directory, stat.S_IMODE(st.st_mode))
        for name in os.listxattr(source):
            if not name.startswith(OVERLAY_XATTRS):
                os.setxattr(directory, name, os.getxattr(source, name))
        os.utime(directory, ns=(st.st_atime_ns, st.st_mtime_ns))

    def create(self, member: Member, path: str, directory: str, name: str) -> None:
        """Make the member as `name` in `directory`."""
        target = f"{directory}/{name}"
        flag = member.flag
        if flag == "0":
            self._create_file(member, target)
            return
        if flag == "5":
            self._create_dir(member, target)
            self._dir_times[path] = member.mtime_ns
        elif flag == "1":
            self._create_hardlink(member, target)
        elif flag == "2":
            self._in_place(target, lambda: os.symlink(member.linkname, target))
        elif flag in _DEVICES and flag != "6" and in_user_namespace():
            return  # nobody makes devices there: containerd leaves them out, too
        elif flag in _DEVICES:
            kind = _DEVICES[flag] | member.mode
            device = device_of(member.devmajor, member.devminor)
            self._in_place(target, lambda: os.mknod(target, kind, device))
        else:
            raise Corrupted(f"unhandled tar header type {ord(flag)}")
        self._set_attributes(member, target)

    def describe_root(self, member: Member) -> None:
        """Give the root itself the member's attributes."""
        self._set_attributes(member, self.root)
        self._dir_times["/"] = member.mtime_ns

    def _in_place(self, target: str, create: object) -> None:
        assert callable(create)
        try:
            create()
        except FileExistsError:
            self.remove(target)
            create()

    def _create_file(self, member: Member, target: str) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            fd = os.open(target, flags, 0o600)
        except FileExistsError:
            self.remove(target)
            fd = os.open(target, flags, 0o600)
        try:
            if member.sparse is not None:
                self._write_sparse(member, fd)
            elif member.size:
                while chunk := self._reader.read(_READ):
                    write_all(fd, chunk)
            give(target, *self._owner_of(member), fd)
            if member.xattrs:
                _set_xattrs(fd, member.xattrs)
            os.fchmod(fd, member.mode)
            os.utime(fd, ns=_times(member.mtime_ns))
        finally:
            os.close(fd)

    def _write_sparse(self, member: Member, fd: int) -> None:
        """Holes stay holes: a giant of them takes no space."""
        for offset, length in member.sparse or ():
            os.lseek(fd, offset, os.SEEK_SET)
            remaining_bytes = length
            while remaining_bytes:
                chunk = self._reader.read(min(remaining_bytes, _READ))
                if not chunk:
                    raise Corrupted("unexpected EOF")
                write_all(fd, chunk)
                remaining_bytes -= len(chunk)
        os.ftruncate(fd, member.size)

    def _create_dir(self, member: Member, target: str) -> None:
        try:
            os.mkdir(target, 0o700)
        except FileExistsError:
            st = os.lstat(target)
            if stat.S_ISDIR(st.st_mode):
                return
            self.remove(target)
            os.mkdir(target, 0o700)
            if self._overlay and is_whiteout(st):
                # Removed and made again by one layer: nothing of below may show.
                set_opaque(target)

    def _create_hardlink(self, member: Member, target: str) -> None:
        link = rooted(member.linkname)
        at = link.rfind("/")
        source = f"{resolve(self.root, link[:at] or '/')}/{link[at + 1 :]}".rstrip("/")
        if source == target:
            return
        if self._lower is not None and not os.path.lexists(source):
            self._copy_up(link, source)
        self._in_place(target, lambda: os.link(source, target, follow_symlinks=False))

    def _copy_up(self, path: str, target: str) -> None:
        """Bring a file of the lower layers into this one, to be linked to."""
        assert self._lower is not None
        view = self._lower
        *above, name = path[1:].split("/")
        for part in above:
            view = view.enter(part)
        item = view.lookup(name)
        if item is None or not stat.S_ISREG(item[1].st_mode):
            return
        source, st = item
        self._make_parent("/" + "/".join(above))
        with open(source, "rb") as old, open(target, "xb") as new:
            copy_bytes(old.fileno(), new.fileno(), st.st_size)
            os.fchown(new.fileno(), st.st_uid, st.st_gid)
            for key in os.listxattr(old.fileno()):
                _set_xattrs(new.fileno(), {key: os.getxattr(old.fileno(), key)})
            os.fchmod(new.fileno(), stat.S_IMODE(st.st_mode))
            os.utime(new.fileno(), ns=(st.st_atime_ns, st.st_mtime_ns))

    def _set_attributes(self, member: Member, target: str) -> None:
        give(target, *self._owner_of(member))
        if member.xattrs:
            _set_xattrs(target, member.xattrs)
        if not stat.S_ISLNK(os.lstat(target).st_mode):
            os.chmod(target, member.mode)
        os.utime(target, ns=_times(member.mtime_ns), follow_symlinks=False)

    def _owner_of(self, member: Member) -> tuple[int, int]:
        owner = self._owner
        return (owner.uid, owner.gid) if owner else owner_ids(member)

    def remove(self, target: str) -> None:
        """Take away what is at the host path `target`; what was known of directories is void."""
        remove_tree(target)
        self._parents = {"/": self.root}

    def finish(self) -> None:
        """Set the times of directories, now that nothing is put in them any more."""
        for path, mtime_ns in self._dir_times.items():
            with suppress(NotADirectoryError):  # something else came in a directory's place
                target = resolve(self.root, path)
                if _is_dir(target):
                    os.utime(target, ns=_times(mtime_ns))


def set_opaque(directory: str) -> None:
    os.setxattr(directory, overlay_xattr("opaque"), b"y")


def _is_dir(path: str) -> bool:
    """Whether there is a directory; NotADirectoryError if there is something else."""
    try:
        if stat.S_ISDIR(os.lstat(path).st_mode):
            return True
    except FileNotFoundError:
        return False
    raise NotADirectoryError(errno.ENOTDIR, "Not a directory", path)


def _set_xattrs(where: str | int, xattrs: dict[str, bytes]) -> None:
    """Set what the filesystem takes. Overlayfs' own attributes are refused: they would let a layer
    reach into others."""
    follow = isinstance(where, int)
    for name, value in xattrs.items():
        if name.startswith(OVERLAY_XATTRS):
            continue
        try:
            os.setxattr(where, name, value, follow_symlinks=follow)
        except OSError as error:
            if error.errno not in _IGNORED_XATTR_ERRORS:
                raise


_MAX_TIME_NS = (1 << 63) - 1
_NO_ID = (1 << 32) - 1


def owner_ids(member: Member) -> tuple[int, int]:
    """The owner of a member as the kernel takes it from BuildKit: the lowest 32 bits, of which the
    largest number leaves it as it is."""
    uid, gid = member.uid & _NO_ID, member.gid & _NO_ID
    return -1 if uid == _NO_ID else uid, -1 if gid == _NO_ID else gid


def _times(mtime_ns: int) -> tuple[int, int]:
    """Access and modification time; absurd ones, and those before it, become the epoch, as in
    BuildKit."""
    if not 0 <= mtime_ns <= _MAX_TIME_NS:
        mtime_ns = 0
    return mtime_ns, mtime_ns
