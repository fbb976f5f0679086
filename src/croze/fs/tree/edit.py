"""Single changes to a tree: make a directory, a file or a link, remove.

Paths are resolved below the root; behaviour and error texts are those of BuildKit's file ops.
"""

from __future__ import annotations

import os
import stat

from croze.errors import InvalidRequest
from croze.fs.failures import explained
from croze.fs.owner import NumericOwner
from croze.fs.paths import dirname, join, rooted, sorted_names, split_wildcards
from croze.fs.remove import remove_tree
from croze.fs.root import resolve
from croze.gotypes import glob


def mkdir(
    root: str,
    path: str,
    mode: int = 0o755,
    make_parents: bool = False,
    owner: NumericOwner | None = None,
    timestamp_ns: int = -1,
) -> None:
    """Make a directory; nothing happens if it is there. Made parents get the same attributes."""
    with explained("mkdir", root):
        target = resolve(root, path)
        if make_parents:
            make_dirs(target, mode & 0o777, owner, timestamp_ns)
            return
        try:
            os.mkdir(target, mode & 0o777)
        except FileExistsError:
            return
        os.chmod(target, mode & 0o777)
        set_owner_and_time(target, owner, timestamp_ns)


def mkfile(
    root: str,
    path: str,
    data: bytes,
    mode: int = 0o644,
    owner: NumericOwner | None = None,
    timestamp_ns: int = -1,
) -> None:
    """Write a file. An existing one keeps its mode, as with `open(2)`; the old bytes are never
    written over in place, since other layers may hold a link to them."""
    with explained("open", root):
        target = resolve(root, rooted(path))
        replaced = _kept_mode(target)
        fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as out:
            out.write(data)
            if replaced is not None:
                os.fchown(out.fileno(), replaced.st_uid, replaced.st_gid)
            os.fchmod(
                out.fileno(), mode & 0o777 if replaced is None else stat.S_IMODE(replaced.st_mode)
            )
        set_owner_and_time(target, owner, timestamp_ns)


def _kept_mode(target: str) -> os.stat_result | None:
    """Remove the regular file at `target`, and say what it was like."""
    try:
        st = os.lstat(target)
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(st.st_mode):
        raise IsADirectoryError(21, "Is a directory", target)
    os.unlink(target)
    return st


def symlink(
    root: str, oldpath: str, newpath: str, owner: NumericOwner | None = None, timestamp_ns: int = -1
) -> None:
    """Make the symlink `newpath` that says `oldpath`."""
    with explained(f"symlink {oldpath}", root):
        target = resolve(root, rooted(newpath))
        try:
            os.symlink(oldpath, target)
        except OSError as error:
            error.filename = target
            raise
        set_owner_and_time(target, owner, timestamp_ns)


def rm(root: str, path: str, allow_not_found: bool = False, allow_wildcard: bool = False) -> None:
    """Remove a path (all below it), or all paths that a wildcard matches. The last component is
    never followed."""
    with explained("stat", root):
        if not allow_wildcard:
            _rm_path(root, path, allow_not_found)
            return
        for match in resolve_wildcards(root, rooted(path), follow=False):
            _rm_path(root, match, allow_not_found)


def _rm_path(root: str, path: str, allow_not_found: bool) -> None:
    path = rooted(path)
    if path == "/":
        raise InvalidRequest("rmPath: invalid empty path")
    name = path[path.rfind("/") + 1 :]
    target = resolve(root, dirname(path)).rstrip("/") + "/" + name
    if not allow_not_found:
        os.lstat(target)
    remove_tree(target)


def resolve_wildcards(root: str, path: str, follow: bool) -> list[str]:
    """The paths below `root` that `path` matches: itself if there is no wildcard in it.

    Matches are whole paths (`*` stops at slashes); what lies below a match is not looked at.
    Links are resolved in the part before the wildcards, the last of it with `follow`.
    """
    head, tail = split_wildcards(path)
    if not tail:
        return [head]
    head = head or "/"
    base = resolve(root, head) if follow else _resolve_parent(root, head)
    if not os.path.lexists(base):
        raise FileNotFoundError(2, "No such file or directory", base)
    try:
        levels = [glob.compile_glob(part) for part in tail.split("/")]
    except glob.BadPattern:
        return []
    below = base[len(root.rstrip("/")) :]
    matches = [below]
    for level in levels:
        matches = [
            f"{match.rstrip('/')}/{name}"
            for match in matches
            for name in _children(root.rstrip("/") + match)
            if level.matches(name)
        ]
    return matches


def _children(directory: str) -> list[str]:
    """The names in a directory; a link to one is none, not even where the search starts."""
    if os.path.islink(directory):
        return []
    try:
        return sorted_names(os.listdir(directory))
    except NotADirectoryError:
        return []


def _resolve_parent(root: str, path: str) -> str:
    path = rooted(path)
    if path == "/":
        return root
    return join(resolve(root, dirname(path)), path[path.rfind("/") + 1 :])


def make_dirs(path: str, mode: int, owner: NumericOwner | None, timestamp_ns: int) -> list[str]:
    """`mkdir -p` on the host path; what had to be made gets mode, owner and time.

    Returns the directories made, outermost first. Raises NotADirectoryError if a file is there.
    """
    missing: list[str] = []
    current = path.rstrip("/") or "/"
    while not os.path.isdir(current):
        if os.path.lexists(current) and not os.path.islink(current):
            raise NotADirectoryError(20, "Not a directory", current)
        missing.append(current)
        current = os.path.dirname(current)
    missing.reverse()
    for directory in missing:
        os.mkdir(directory, mode)
        os.chmod(directory, mode)
        set_owner_and_time(directory, owner, timestamp_ns)
    return missing


def set_owner_and_time(path: str, owner: NumericOwner | None, timestamp_ns: int) -> None:
    """Set an entry's owner and time, links not followed; None and -1 leave them."""
    if owner is not None:
        os.chown(path, owner.uid, owner.gid, follow_symlinks=False)
    if timestamp_ns != -1:
        os.utime(path, ns=(timestamp_ns, timestamp_ns), follow_symlinks=False)
