"""Files of a container, read and written by a process of ours that has the container's root for its
own: `python -m croze.runtime.inroot REQUEST`.

What a container holds may be made to lead others astray, and may change while it is looked at:
links of any kind. Here the kernel resolves them, as it does for the container's own processes, and
there is nothing outside to be led to. No more is mounted than the container's files: no /proc, no
/dev. And no more is loaded than there is: what Python looks up by name it would find in there, and
run.

REQUEST is JSON. Standard output begins with a line of JSON, an `InRootReply`; what `get` and
`export` read follows, a tar stream. `put` reads one from standard input, and answers when all is
there.
"""

from __future__ import annotations

import ctypes
import io
import os
import posixpath
import signal
import stat
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

import msgspec

from croze import errors
from croze.errors import Corrupted, CrozeError, InvalidRequest, NotFound
from croze.fs import mount as fs_mount
from croze.fs.entry import go_mode
from croze.fs.failures import explain, explained
from croze.fs.owner import NumericOwner, lookup
from croze.fs.paths import clean, rooted
from croze.fs.root import open_beneath, resolve_below
from croze.fs.tar.compress import detect, load, open_reader, read_errors
from croze.fs.tar.extract import Extractor
from croze.fs.tar.header import END_OF_ARCHIVE, padding
from croze.fs.tar.read import Member, TarReader
from croze.fs.tar.write import member_header
from croze.fs.tree.walk import make_entry, walk_stats
from croze.fs.userns import in_user_namespace
from croze.gotypes import gojson
from croze.runtime.mounts import make_dirs

_PR_SET_PDEATHSIG = 1
_CHUNK = 1 << 20
_ROOT = "/."
"""What `Extractor` takes for `/`, where a path ends in nothing."""


if TYPE_CHECKING:
    from types import TracebackType

    Source = io.BufferedReader[io.FileIO]


class Bind(msgspec.Struct, frozen=True):
    """A directory or file of the host, at a path of the container."""

    source: str
    dest: str
    readonly: bool = False


class RootedRequest(msgspec.Struct, frozen=True):
    """A request for a container's files. `root`: where the container's own files are, on the
    host."""

    op: Literal["stat", "get", "put", "export"]
    root: str
    binds: Sequence[Bind] = ()
    path: str = "/"
    readonly_root: bool = False
    keep_kinds: bool = False
    """For `put`: no directory takes the place of what is none, nor the other way round."""
    owner: str | None = None
    """For `put`: whose the files become, as `USER` has it; None leaves what the archive says."""


class PathStat(msgspec.Struct, frozen=True, rename={"link_target": "linkTarget"}):
    """What there is at a path. `mode` is Go's; `mtime_ns` is since 1970."""

    name: str
    size: int
    mode: int
    mtime_ns: int
    link_target: str


class InRootReply(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer's head. `kind` is the name of an error's class in `croze.errors`."""

    stat: PathStat | None = None
    kind: str = ""
    message: str = ""

    def check(self) -> None:
        """Raise the error that the process has met, if there was one."""
        if self.kind:
            raised = getattr(errors, self.kind, CrozeError)
            raise raised(self.message)


def main() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    os.umask(0o022)
    request = gojson.unmarshal(sys.argv[1], type=RootedRequest)
    source = io.BufferedReader(io.FileIO(0, closefd=False), _CHUNK)
    answered = False
    try:
        with explained(request.op):
            _enter(request)
            for data in _do(request, source):
                sys.stdout.buffer.write(data)
                sys.stdout.buffer.flush()
                answered = True
    except BrokenPipeError:
        os._exit(1)
    except CrozeError as error:
        if answered:  # what has been sent can't be taken back: it just ends
            sys.exit(f"{request.op} {request.path}: {error}")
        kinds = (
            each.__name__ for each in type(error).__mro__ if each.__module__ == errors.__name__
        )
        outcome = InRootReply(kind=next(kinds), message=str(error))
        sys.stdout.buffer.write(_line(outcome))
        sys.stdout.buffer.flush()
        os._exit(1)


def _line(outcome: InRootReply) -> bytes:
    return gojson.marshal(outcome) + b"\n"


def _enter(request: RootedRequest) -> None:
    """Make the container's root this process's: there is nothing but its files from here on."""
    in_user_namespace()  # /proc is to be asked, and will be gone
    fs_mount.enter_private_namespace()
    for bind in sorted(request.binds, key=lambda each: each.dest.count("/")):
        _bind(request.root, bind)
    if request.op == "put":
        load()
    _load_no_more()
    os.chroot(request.root)
    os.chdir("/")


def _load_no_more() -> None:
    """Modules, codecs, and the lines of tracebacks (with the codec that they name) are looked up by
    their paths when they are first needed: here the container would say what is in them."""
    sys.meta_path.clear()
    sys.path_hooks.clear()
    sys.path.clear()
    sys.path_importer_cache.clear()
    sys.excepthook = _complain
    sys.unraisablehook = lambda args: None


def _complain(kind: type[BaseException], error: BaseException, _: TracebackType | None) -> None:
    os.write(2, f"{kind.__name__}: {error}\n".encode(errors="backslashreplace"))


def _bind(root: str, bind: Bind) -> None:
    path = resolve_below(root, bind.dest)
    if os.path.isdir(bind.source):
        make_dirs(root, path)
        fd = open_beneath(root, bind.dest, os.O_PATH)
    else:
        make_dirs(root, os.path.dirname(path))
        fd = open_beneath(root, bind.dest, os.O_RDONLY | os.O_CREAT | os.O_NONBLOCK, 0o644)
    try:
        _mount(bind, f"/proc/self/fd/{fd}")
    finally:
        os.close(fd)


def _mount(bind: Bind, target: str) -> None:
    if bind.readonly:
        fs_mount.bind_readonly(bind.source, target)
    else:
        flags = fs_mount.MS_BIND | fs_mount.MS_REC
        fs_mount.raw_mount(bind.source, target, "", flags)


def _do(request: RootedRequest, source: Source) -> Iterator[bytes]:
    if request.op == "put":
        _put(request, source)
        yield _line(InRootReply())
        return
    path = _absolute(request.path)
    with explained("stat"):
        status = _stat(path)
    yield _line(InRootReply(stat=status))
    if request.op != "stat":
        yield from _tree(path, "" if request.op == "export" else None)


def _absolute(path: str) -> str:
    """The path as `/` sees it; a slash or `/.` at the end stays, which follows a link."""
    plain = rooted(path)
    for end in ("/.", "/"):
        if path.endswith(end) and plain != "/":
            return plain + end
    return plain


def _stat(path: str) -> PathStat:
    status = os.lstat(path)
    target = resolve_below("/", path) if stat.S_ISLNK(status.st_mode) else ""
    name = posixpath.basename(path.rstrip("/")) or "/"
    return PathStat(name, status.st_size, go_mode(status.st_mode), status.st_mtime_ns, target)


# -- from the container --


def _tree(path: str, name: str | None) -> Iterator[bytes]:
    """All at and below a path. Names begin with its last part; of no name only what is below is
    there."""
    base = name if name is not None else posixpath.basename(path.rstrip("/"))
    seen: dict[tuple[int, int], str] = {}
    top = os.lstat(path)
    if name != "":
        yield from _member(base, path, top, seen)
    if stat.S_ISDIR(top.st_mode):
        prefix = f"{base}/" if base or name is None else ""
        for below, full, status in walk_stats(path):
            yield from _member(prefix + below, full, status, seen)
    yield END_OF_ARCHIVE


def _member(
    name: str, full: str, status: os.stat_result, seen: dict[tuple[int, int], str]
) -> Iterator[bytes]:
    """What goes away meanwhile is left out, as are sockets."""
    if stat.S_ISSOCK(status.st_mode):
        return
    entry = make_entry(name, full, status, seen)
    if entry is None:
        return
    try:
        if not entry.is_file or entry.linkname or not entry.size:
            yield member_header(entry)
            return
        fd = os.open(full, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        yield member_header(entry)
        yield from _content(fd, name, entry.size)
    finally:
        os.close(fd)


def _content(fd: int, name: str, size: int) -> Iterator[bytes]:
    remaining_bytes = size
    while remaining_bytes:
        data = os.read(fd, min(remaining_bytes, _CHUNK))
        if not data:
            raise CrozeError(f"{name} became shorter while it was read")
        remaining_bytes -= len(data)
        yield data
    yield padding(size)


# -- into the container --


def _put(request: RootedRequest, source: Source) -> None:
    try:
        dest = os.path.realpath(_absolute(request.path), strict=True)
    except OSError as error:
        raise NotFound(f"stat {request.path}: {os.strerror(error.errno or 0).lower()}") from error
    if not os.path.isdir(dest):
        raise InvalidRequest("extraction point is not a directory")
    _check_writable(request, dest)
    owner = None
    if request.owner is not None:
        user = lookup("/", request.owner)
        owner = NumericOwner(user.uid, user.gid)
    plain = open_reader(source, detect(source.peek(10)))
    reader = TarReader(plain)
    extractor = Extractor(_ROOT, reader, owner=owner)
    try:
        for member in reader:
            placed = extractor.place(_below(member, dest))
            if placed is None or placed[0] == dest:
                continue  # the directory itself
            if request.keep_kinds:
                _check_kind(member, *placed)
            extractor.create(member, *placed)
        extractor.finish()
        while plain.read(_CHUNK):
            pass  # what is sent after the archive's end is heard out
    except read_errors() as error:
        if isinstance(error, OSError) and error.errno:
            raise _not_extracted(error) from error
        raise Corrupted(str(error)) from error


def _not_extracted(error: OSError) -> CrozeError:
    """The error for an archive whose members name what is not there."""
    problem = explain(error, "extract", _ROOT)
    return InvalidRequest(str(problem)) if isinstance(problem, NotFound) else problem


def _check_writable(request: RootedRequest, dest: str) -> None:
    over = [each for each in request.binds if f"{dest}/".startswith(f"{each.dest.rstrip('/')}/")]
    if over:
        if max(over, key=lambda each: len(each.dest)).readonly:
            raise InvalidRequest("mounted volume is marked read-only")
    elif request.readonly_root:
        raise InvalidRequest("container rootfs is marked read-only")


def _below(member: Member, dest: str) -> Member:
    """The member with its place in the container. Raises `InvalidRequest` for what would not be
    below `dest`."""
    name = clean(member.name)
    if name == ".." or name.startswith("../"):
        raise InvalidRequest(f'"{member.name}" is outside of "{dest}"')
    member.name = f"{dest}/{name.lstrip('/')}"
    if member.flag == "1":
        link = clean(member.linkname)
        if link == ".." or link.startswith("../"):
            raise InvalidRequest(f'invalid hardlink "{member.linkname}"')
        member.linkname = f"{dest}/{link.lstrip('/')}"
    return member


def _check_kind(member: Member, path: str, directory: str, name: str) -> None:
    try:
        there = stat.S_ISDIR(os.lstat(f"{directory}/{name}").st_mode)
    except FileNotFoundError:
        return
    if there and member.flag != "5":
        raise InvalidRequest(f'cannot overwrite directory "{path}" with non-directory "{path}"')
    if not there and member.flag == "5":
        raise InvalidRequest(f'cannot overwrite non-directory "{path}" with directory "{path}"')


if __name__ == "__main__":
    main()
