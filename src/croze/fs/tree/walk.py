"""Walks a tree in the order and with the rules of the file-transfer protocol (fsutil).

A directory comes before what is in it, names in byte order; the root itself is not listed. A
directory that does not match an include pattern is listed, before its first listed descendant,
only if there is one. The second and later names of a file are hard links to the first.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator, Sequence

import msgspec

from croze.fs.entry import Entry, entry_from, read_xattrs
from croze.fs.match.patterns import MatchState, PatternMatcher, matcher_of
from croze.fs.tree.follow import dedupe, follow_links

_PATTERN_CHARS = frozenset("*[]?^\\")


class WalkOptions(msgspec.Struct, frozen=True):
    """What of a tree is wanted."""

    include: Sequence[str] = ()
    """Only what matches one of these; everything if empty."""
    exclude: Sequence[str] = ()
    """Nothing that matches these (with `!` exceptions)."""
    follow_paths: Sequence[str] = ()
    """Added to `include`, with the links that are passed on the way."""


def walk(root: str, options: WalkOptions = WalkOptions()) -> Iterator[Entry]:  # noqa: B008
    """The entries below `root`. Raises InvalidRequest for bad patterns, OSError for the rest."""
    seen: dict[tuple[int, int], str] = {}
    for path, full, st in select(root, options):
        entry = make_entry(path, full, st, seen)
        if entry is not None:
            yield entry


def select(root: str, options: WalkOptions) -> Iterator[Found]:
    """Like `walk`, with what `make_entry` makes an entry of."""
    if not stat.S_ISDIR(os.stat(root).st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), root)
    selection = WalkSelection.of(root, options)
    raw = walk_stats(root, selection.enters if selection else None)
    return selection.filter(raw) if selection else raw


Found = tuple[str, str, os.stat_result]
"""Path below the root, path on the host, what lstat says."""


def make_entry(
    path: str, full: str, st: os.stat_result, seen: dict[tuple[int, int], str]
) -> Entry | None:
    """The entry for a found file, None if it has gone meanwhile; `seen` remembers the first names
    of hard-linked files."""
    try:
        return _make_entry(path, full, st, seen)
    except (FileNotFoundError, NotADirectoryError):
        key = (st.st_dev, st.st_ino)
        if seen.get(key) == path:
            del seen[key]  # nothing can be a link to it
        return None


def _make_entry(
    path: str, full: str, st: os.stat_result, seen: dict[tuple[int, int], str]
) -> Entry:
    mode = st.st_mode
    if not stat.S_ISREG(mode):
        entry = entry_from(st, full, path)
        if st.st_nlink < 2 or stat.S_ISDIR(mode):
            return entry
        first = seen.setdefault((st.st_dev, st.st_ino), path)
        if first == path or stat.S_ISLNK(mode):
            return entry
        return msgspec.structs.replace(entry, linkname=first)
    link = ""
    if st.st_nlink > 1:
        link = seen.setdefault((st.st_dev, st.st_ino), path)
        if link == path:
            link = ""
    return Entry(
        path, mode, st.st_uid, st.st_gid, st.st_size, st.st_mtime_ns, link, 0, 0,
        read_xattrs(full), st.st_dev, st.st_ino, st.st_ctime_ns,
    )  # fmt: skip


def walk_stats(root: str, enters: Callable[[str], bool] | None = None) -> Iterator[Found]:
    """Every path below `root` with its lstat, in order. A directory for which `enters` says no
    after it was yielded is not read."""
    prefix = root.rstrip("/") + "/"
    stack = [iter(read_dir(prefix))]
    below = [""]
    while stack:
        for name, full, st in stack[-1]:
            path = below[-1] + name
            yield path, full, st
            if stat.S_ISDIR(st.st_mode) and (enters is None or enters(path)):
                children = read_dir(full)
                if children:
                    stack.append(iter(children))
                    below.append(path + "/")
                    break
        else:
            stack.pop()
            below.pop()


def read_dir(path: str) -> list[Found]:
    """The directory's entries in byte order; what vanishes meanwhile is left out."""
    try:
        # What was a directory when it was listed may be a link by now. The root, which ends with
        # a slash, may be one.
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return []
    prefix = path if path.endswith("/") else path + "/"
    result: list[Found] = []
    plain = True
    try:
        with os.scandir(fd) as entries:
            for item in entries:
                name = item.name
                plain = plain and name.isascii()
                try:
                    result.append((name, prefix + name, item.stat(follow_symlinks=False)))
                except FileNotFoundError:
                    continue
    except OSError as error:
        error.filename = path  # not a descriptor, which says nothing
        raise
    finally:
        os.close(fd)
    if plain:
        result.sort()
    else:
        result.sort(key=lambda entry: os.fsencode(entry[0]))
    return result


class WalkSelection:
    """Include and exclude patterns applied to a walk, with whole subtrees skipped early."""

    def __init__(self, include: Sequence[str], exclude: Sequence[str]) -> None:
        self._include = matcher_of(include, "include")
        self._exclude = matcher_of(exclude, "exclude")
        self._include_roots = _literal_roots(self._include, exclusion=False)
        self._exception_roots = _literal_roots(self._exclude, exclusion=True)
        self._skipped: set[str] = set()
        self._dirs: list[_Dir] = []

    @classmethod
    def of(cls, root: str, options: WalkOptions) -> WalkSelection | None:
        """The selection that `options` ask for, links resolved below `root`; None for all."""
        include: Sequence[str] | None = options.include
        if options.follow_paths:
            targets = follow_links(root, options.follow_paths)
            if targets is not None:
                include = dedupe([*options.include, *targets])
        if not include and not options.exclude:
            return None
        return cls(include or (), options.exclude)

    def enters(self, path: str) -> bool:
        """Whether the directory just filtered can hold anything wanted."""
        return path not in self._skipped

    def filter(self, entries: Iterator[Found]) -> Iterator[Found]:
        """What is selected of `entries`, each preceded by its unlisted parents."""
        for item in entries:
            path = item[0]
            while self._dirs and not path.startswith(self._dirs[-1].prefix):
                self._dirs.pop()
            selected, directory = self._judge(item)
            if selected:
                for parent in self._dirs:
                    if not parent.listed:
                        parent.listed = True
                        yield parent.found
                yield item
            if directory is not None:
                self._dirs.append(directory)

    def _judge(self, item: Found) -> tuple[bool, _Dir | None]:
        path, _, st = item
        is_dir = stat.S_ISDIR(st.st_mode)
        parent = self._dirs[-1] if self._dirs else None
        selected = True
        included: MatchState | None = None
        excluded: MatchState | None = None
        if self._include is not None:
            above = parent.included if parent else None
            selected, included = self._include.walk_match(path, above)
            if not selected and is_dir and not _may_hold(path, self._include_roots):
                self._skipped.add(path)
                return False, None
        if self._exclude is not None:
            above = parent.excluded if parent else None
            hit, excluded = self._exclude.walk_match(path, above)
            if hit and is_dir and not _may_hold(path, self._exception_roots):
                self._skipped.add(path)
                return False, None
            selected = selected and not hit
        return selected, _Dir(item, included, excluded, selected) if is_dir else None


class _Dir:
    """A directory on the way to the current entry."""

    __slots__ = ("excluded", "found", "included", "listed", "prefix")

    def __init__(
        self, entry: Found, included: MatchState | None, excluded: MatchState | None, listed: bool
    ) -> None:
        self.found = entry
        self.prefix = entry[0] + "/"
        self.included = included
        self.excluded = excluded
        self.listed = listed


def _literal_roots(matcher: PatternMatcher | None, *, exclusion: bool) -> list[str] | None:
    """The patterns of one kind with a trailing glob cut off and a slash added; None if one of
    them can match anywhere."""
    roots: list[str] = []
    for pattern in matcher.patterns if matcher else ():
        if pattern.exclusion == exclusion:
            text = pattern.text.removesuffix("/**").removesuffix("/*")
            if not _PATTERN_CHARS.isdisjoint(text):
                return None
            roots.append(text + "/")
    return roots


def _may_hold(directory: str, roots: list[str] | None) -> bool:
    prefix = directory + "/"
    return roots is None or any(root.startswith(prefix) for root in roots)
