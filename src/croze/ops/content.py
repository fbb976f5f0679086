"""The content of an op's inputs, as digests (contenthash; see `fs.content.checksum`).

A ref never changes, so an answer is good for as long as the ref is there: answers are kept in
memory, and with the ref the index that lets the next question be answered without a scan. A
client's directory is a new ref in every build, but the file with its index is the same one, and is
written anew whenever the directory has changed: while it is not, answers hold, too.
"""

from __future__ import annotations

import asyncio
import os
from collections import OrderedDict
from collections.abc import Sequence
from typing import ParamSpec, TypeVar

from croze.aio.locks import KeyedLocks
from croze.cachekeys import texts
from croze.cachekeys.texts import noted_list_digest
from croze.digests import digest_of
from croze.errors import CrozeError, NotFound
from croze.fs.content.checksum import Query, checksum, checksum_listed
from croze.ops.results import ref_of
from croze.solver.contract import OpContext, Result
from croze.store.contract import ImmutableRef
from croze.workers.pool import Pool
from croze.workers.shares import Shares

P = ParamSpec("P")
T = TypeVar("T")

Written = tuple[int, int, int, int]
"""Device, inode, size and mtime (ns) of a file that is always written anew as a whole. Others may
have links to it, which change its ctime. A tree that changes takes longer than a tick of the clock
to be another one: a build lies in between."""

SIDE_FILE = "checksums"
"""Sources write it too, while files arrive."""
REMEMBERED = 10_000


class ContentDigests:
    """Computes digests of inputs' contents, and remembers them. One per daemon; each ref is looked
    at by one at a time."""

    def __init__(self, workers: Pool, mounting: Shares) -> None:
        """See `OpServices.mounting`."""
        self._workers = workers
        self._mounting = mounting
        self._known: OrderedDict[tuple[str, Query], str] = OrderedDict()
        self._by_index: OrderedDict[Written, dict[Query, str]] = OrderedDict()
        self._locks: KeyedLocks[str] = KeyedLocks()
        self._waiting: dict[str, dict[Query, None]] = {}
        """What is to be learnt of refs by those who wait for their turn."""

    async def of(
        self, ref: ImmutableRef | None, queries: Sequence[Query], sessions: Sequence[str]
    ) -> list[str]:
        """One digest a query. Raises what `content.checksum` raises for missing paths."""
        if ref is None:
            return [_of_nothing(q) for q in queries]
        lock = self._locks.of(ref.id)
        waiting = self._waiting.setdefault(ref.id, {})
        waiting.update(dict.fromkeys(queries))
        try:
            async with lock:
                if self._unknown(ref.id, queries):
                    await asyncio.sleep(0)  # steps that begin at once have their questions, too
                    await self._learn_at_once(ref, queries, [*waiting], sessions)
                return [self._recall(ref.id, q) for q in queries]
        finally:
            if not lock.locked():
                self._waiting.pop(ref.id, None)

    def _unknown(self, id: str, queries: Sequence[Query]) -> list[Query]:
        return [query for query in queries if (id, query) not in self._known]

    async def _learn_at_once(
        self,
        ref: ImmutableRef,
        queries: Sequence[Query],
        waiting: Sequence[Query],
        sessions: Sequence[str],
    ) -> None:
        """What others wait for, too: it is one look at the index. What is wrong with theirs is for
        them to be told."""
        try:
            await self._learn(ref, self._unknown(ref.id, waiting), sessions)
        except CrozeError:
            await self._learn(ref, self._unknown(ref.id, queries), sessions)

    async def _learn(
        self, ref: ImmutableRef, queries: Sequence[Query], sessions: Sequence[str]
    ) -> None:
        if not queries:
            return
        side_file = str(ref.side_file(SIDE_FILE))
        written = _written(side_file)
        answers = self._by_index.pop(written, {}) if written is not None else {}
        unknown = [query for query in queries if query not in answers]
        if unknown:
            answers |= await self._ask(ref, side_file, unknown, sessions)
            written = _written(side_file)  # which may have been written for it, of the same tree
        for query in queries:
            self._known[ref.id, query] = answers[query]
        if written is not None:
            self._by_index[written] = answers
            while len(self._by_index) > REMEMBERED:
                self._by_index.popitem(last=False)

    async def _ask(
        self, ref: ImmutableRef, side_file: str, queries: Sequence[Query], sessions: Sequence[str]
    ) -> dict[Query, str]:
        if ref.unwritten and not texts.wanted():
            digests = await self._workers.run(checksum_listed, side_file, queries)
            if digests is not None:
                return dict(zip(queries, digests, strict=True))
        await ref.materialize(sessions)
        async with self._mounting.slot(), ref.mounted(readonly=True, sessions=sessions) as root:
            digests = await self._workers.run(checksum, str(root), side_file, queries)
            if texts.wanted():
                from croze.fs.content.texts import content_texts

                content = await self._workers.run(content_texts, str(root), side_file, queries)
                for name, kind, pieces in content:
                    texts.note(name, texts.DigestText(kind, pieces))
        return dict(zip(queries, digests, strict=True))

    def _recall(self, id: str, query: Query) -> str:
        self._known.move_to_end((id, query))
        digest = self._known[id, query]
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return digest


class ContentKey:
    """`InputKeying.content` for some paths of an input."""

    def __init__(self, contents: ContentDigests, queries: Sequence[Query]) -> None:
        self.contents = contents
        self.queries = tuple(queries) or (Query(),)

    async def __call__(self, result: Result, ctx: OpContext) -> str:
        """The content key: the digest of the queries' digests."""
        ref = ref_of(result)
        try:
            return noted_list_digest(
                await self.contents.of(ref, self.queries, ctx.sessions()), "digest-list"
            )
        except CrozeError as error:
            raise error.wrap(f"failed to calculate checksum of ref {result.id}") from None


async def unlazy(result: Result, ctx: OpContext) -> None:
    """`InputKeying.prepare`: fetch and unpack the input."""
    ref = ref_of(result)
    if ref is not None:
        await ref.unlazy(ctx.sessions())


def _written(side_file: str) -> Written | None:
    try:
        st = os.stat(side_file)
    except FileNotFoundError:
        return None
    return st.st_dev, st.st_ino, st.st_size, st.st_mtime_ns


def _of_nothing(query: Query) -> str:
    if query.path == "/":
        return digest_of(b"")
    raise NotFound(f"{query.path}: no such file or directory")


def dedupe_paths(paths: Sequence[str]) -> list[str]:
    """Sorted, without those that lie below another one."""
    if len(paths) <= 1:
        return list(paths)
    whole = set(paths)
    return sorted(path for path in whole if not _covered(path, whole))


def _covered(path: str, others: set[str]) -> bool:
    """Whether another path is a directory above this one, written with or without a slash."""
    slashes = (i for i, char in enumerate(path) if char == "/")
    return any(
        head in others and head != path for i in slashes for head in (path[:i], path[: i + 1])
    )
