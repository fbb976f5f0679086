"""Archives as `ADD` unpacks them: plain tar, or with gzip, bzip2, xz or zstd."""

from __future__ import annotations

import errno
import os
import stat

from croze.errors import Corrupted, CrozeError
from croze.fs.failures import TooManyLinks, explain, explained
from croze.fs.owner import NumericOwner
from croze.fs.paths import rooted
from croze.fs.root import resolve
from croze.fs.tar.extract import Extractor
from croze.fs.tar.read import Member, TarReader
from croze.fs.tar.stepwise import open_stepwise
from croze.fs.tree.edit import make_dirs


def unpack(
    archive_path: str,
    dest_root: str,
    dest: str,
    owner: NumericOwner | None = None,
    timestamp_ns: int = -1,
) -> bool:
    """Unpack the archive into the directory `dest` below `dest_root`, made if it is missing.

    Returns False, with nothing done, if the file is no archive. `owner` overrides the members';
    `timestamp_ns` is for made directories only. Links in the archive are resolved inside the
    directory.
    """
    with explained("unpack", dest_root):
        return unpack_at(archive_path, dest_root, dest, owner, timestamp_ns)


def unpack_at(
    archive_path: str, dest_root: str, dest: str, owner: NumericOwner | None, timestamp_ns: int
) -> bool:
    """`unpack` with bare OSErrors."""
    if not is_archive(archive_path):
        return False
    target = resolve(dest_root, dest)
    make_dirs(target, 0o755, owner, timestamp_ns)
    with open(archive_path, "rb") as file:
        reader = TarReader(open_stepwise(file))
        extractor = _AddExtractor(target, reader, owner=owner)
        for member in reader:
            extractor.add(member)
        extractor.finish()
    return True


class _AddExtractor(Extractor):
    """Puts members where a process in a chroot of the target would: a link that leads nowhere is
    there, so it is no missing parent, and nothing can be made below it. Layers differ in this.

    Errors name the system call and the path in the archive.
    """

    def add(self, member: Member) -> None:
        try:
            placed = self.place(member)
            if placed is not None:
                self.create(member, *placed)
            elif member.name.startswith("/") and member.flag == "5":
                # Not what is called `.`: so it is in Docker, from where BuildKit has it.
                self.describe_root(member)
        except TooManyLinks:
            raise _refused(member, errno.ELOOP) from None
        except OSError as error:
            raise _refused(member, error.errno or errno.EIO) from error

    def _make_parent(self, above: str) -> str:
        try:
            os.lstat(resolve(self.root, above, follow_last=False))
        except FileNotFoundError:
            self._make_all(above)
        except NotADirectoryError:
            pass  # what is to be made below it will say so
        host = resolve(self.root, above)
        if os.path.isdir(host):
            self._parents[above] = host
        return host

    def _make_all(self, path: str) -> None:
        """Make what is missing of a directory's path. What is there is looked at once for each
        level: a path may have thousands."""
        host, above = self.root, ""
        for part in path[1:].split("/"):
            above = f"{above}/{part}"
            directory = f"{host}/{part}"
            host = resolve(self.root, above) if os.path.islink(directory) else directory
            if os.path.isdir(host):
                continue
            try:
                os.mkdir(directory, 0o755)
            except OSError as error:
                raise explain(OSError(error.errno, "", above), "mkdir") from error
            os.chmod(directory, 0o755)


_CALLS = {"5": "mkdir", "0": "open"}


def _refused(member: Member, number: int) -> CrozeError:
    path = rooted(member.name)
    if member.flag in _CALLS:
        return explain(OSError(number, "", path), _CALLS[member.flag])
    if member.flag == "2":
        return explain(OSError(number, "", path), f"symlink {member.linkname}")
    if member.flag == "1":
        return explain(OSError(number, "", path), f"link {rooted(member.linkname)}")
    return CrozeError(os.strerror(number).lower())


def is_archive(path: str) -> bool:
    """Whether the path is a regular file that starts with a tar member, maybe compressed."""
    try:
        if not stat.S_ISREG(os.lstat(path).st_mode):
            return False
        with open(path, "rb") as file:
            return TarReader(open_stepwise(file)).next() is not None
    except (Corrupted, OSError):
        return False
