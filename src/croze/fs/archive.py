"""Archives as `ADD` unpacks them: plain tar, or with gzip, bzip2, xz or zstd."""

from __future__ import annotations

import os
import stat

from croze.errors import Corrupted
from croze.fs.compress import READ_ERRORS, open_reader
from croze.fs.edit import make_dirs
from croze.fs.extract import Extractor
from croze.fs.failures import explained
from croze.fs.owner import Owner
from croze.fs.root import resolve
from croze.fs.tarread import TarReader

_NO_ARCHIVE: tuple[type[Exception], ...] = (*READ_ERRORS, Corrupted)


def unpack(
    archive_path: str,
    dest_root: str,
    dest: str,
    owner: Owner | None = None,
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
    archive_path: str, dest_root: str, dest: str, owner: Owner | None, timestamp_ns: int
) -> bool:
    """`unpack` with bare OSErrors."""
    if not is_archive(archive_path):
        return False
    target = resolve(dest_root, dest)
    make_dirs(target, 0o755, owner, timestamp_ns)
    with open(archive_path, "rb") as file:
        reader = TarReader(open_reader(file))
        extractor = Extractor(target, reader, owner=owner)
        try:
            for member in reader:
                placed = extractor.place(member)
                if placed is not None:
                    extractor.create(member, *placed)
        except READ_ERRORS as error:
            if isinstance(error, OSError) and error.errno:
                raise
            raise Corrupted(str(error)) from error
        extractor.finish()
    return True


def is_archive(path: str) -> bool:
    """Whether the path is a regular file that starts with a tar member, maybe compressed."""
    try:
        if not stat.S_ISREG(os.lstat(path).st_mode):
            return False
        with open(path, "rb") as file:
            return TarReader(open_reader(file)).next() is not None
    except _NO_ARCHIVE:
        return False
