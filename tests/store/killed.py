"""A store at work that is killed again and again; run as a program of its own.

Each round forks a worker that does everything a daemon does, kills it when it has reported so many
steps, and then opens the store in another fork: it must verify, and have all that was reported.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path

from croze.fs.mount import enter_private_namespace
from croze.store.contract import Compression, ImmutableRef, PrunePolicy, Sharing, SnapshotterName
from croze.store.open import Store, open_store
from tests.store.pools import ThreadPool
from tests.store.sources import Sources
from tests.store.trees import make_ref, tree_of, write_tree

Report = Callable[[str, object], None]


def layers(sources: Sources, seed: int) -> list[dict[str, bytes | None]]:
    return [{f"l{seed}-{n}": b"x" * 1000 * (n + 1)} for n in range(3)]


async def work(store: Store, sources: Sources, seed: int, report: Report) -> None:
    """Report each thing only when it is promised to last."""
    chance = random.Random(seed)
    refs: list[ImmutableRef] = []
    for step in range(1000):
        parent = chance.choice([None, *refs]) if refs else None
        ref = await make_ref(store.refs, parent, {f"{seed}/{step}": "y" * chance.randrange(5000)})
        refs.append(ref)
        report("ref", [ref.id, await tree_of(ref)])
        if step % 3 == 0:
            for layer in await ref.layers(Compression("gzip")):
                report("blob", layer.descriptor.digest)
        if step % 4 == 1:
            merged = await store.refs.merge([*refs[-2:]])
            report("ref", [merged.id, await tree_of(merged)])
            refs.append(merged)
        if step % 5 == 3:
            await opaque_step(store, step, report, refs)
        if step % 5 == 2:
            await lazy_step(store, sources, seed * 1000 + step, report, refs)
        async with store.refs.cache_mount("cache", None, Sharing.LOCKED) as cache:
            async with cache.mounted(readonly=False) as root:
                write_tree(root, {str(step): "z"})
            cache.set_meta(step=str(step))
        await store.blobs.put(f"{seed} {step}".encode())
        if step % 6 == 5:
            await prune_step(store, chance, refs, report)


async def opaque_step(store: Store, step: int, report: Report, refs: list[ImmutableRef]) -> None:
    """A replaced directory, put elsewhere: its layer is made anew."""
    base = await make_ref(store.refs, None, {"d/old": "1"})
    upper = await make_ref(store.refs, base, {"d/new": str(step)}, "d")
    diff = await store.refs.diff(base, upper)
    merged = await store.refs.merge([refs[-1], diff])
    report("ref", [merged.id, await tree_of(merged)])
    for ref in (base, upper, diff):
        report("may go", ref.id)
        await ref.release()
    refs.append(merged)


async def lazy_step(
    store: Store, sources: Sources, seed: int, report: Report, refs: list[ImmutableRef]
) -> None:
    ref = await store.refs.from_layers([sources.layer(x) for x in layers(sources, seed)])
    assert ref is not None
    report("ref", [ref.id, await tree_of(ref)])
    refs.append(ref)


async def prune_step(
    store: Store, chance: random.Random, refs: list[ImmutableRef], report: Report
) -> None:
    chance.shuffle(refs)
    while len(refs) > 3:
        ref = refs.pop()
        report("may go", ref.id)
        for layer in ref.known_layers() or ():
            report("may go", layer.descriptor.digest)
        await ref.release()
    async for record in store.refs.prune([PrunePolicy(all=True)]):
        report("may go", record.id)


async def check(store: Store, reported: list[tuple[str, object]]) -> None:
    assert await store.verify() == [], await store.verify()
    may_go = {thing for what, thing in reported if what == "may go"}
    for what, thing in reported:
        if what == "ref":
            assert isinstance(thing, list)
            id, tree = thing
            if id in may_go and not store.refs.exists(id):
                continue
            ref = await store.refs.get(id)
            assert await tree_of(ref) == tree
            await ref.release()
        elif what == "blob" and thing not in may_go:
            assert store.blobs.has(str(thing)), thing
    async with store.refs.cache_mount("cache", None, Sharing.LOCKED):
        pass


async def run(
    root: Path, kind: SnapshotterName, sources: Sources, body: Callable[[Store], Awaitable[None]]
) -> None:
    store = await open_store(root, ThreadPool(), snapshotter=kind, fetchers=sources.fetcher)
    await body(store)
    await store.close()


def fork(body: Callable[[], None]) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        body()
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def kill_one(root: Path, kind: SnapshotterName, seed: int, steps: int) -> None:
    source, sink = os.pipe()

    def report(what: str, thing: object) -> None:
        os.write(sink, json.dumps([what, thing]).encode() + b"\n")

    def worker() -> None:
        os.close(source)
        sources = Sources()
        asyncio.run(run(root, kind, sources, lambda s: work(s, sources, seed, report)))

    pid = fork(worker)
    os.close(sink)
    reported = []
    with open(source, "rb") as pipe:
        for _ in range(steps):
            if line := pipe.readline():
                reported.append(json.loads(line))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        reported += [json.loads(line) for line in pipe if line.endswith(b"\n")]
    things = [(str(what), thing) for what, thing in reported]
    pid = fork(lambda: asyncio.run(run(root, kind, Sources(), lambda s: check(s, things))))
    _, status = os.waitpid(pid, 0)
    if status or len(reported) < steps:
        sys.exit(f"{kind}: seed {seed}, killed after {steps} steps: status {status}")


def main() -> None:
    root, rounds = Path(sys.argv[1]), int(sys.argv[2])
    kind: SnapshotterName = "native" if sys.argv[3] == "native" else "overlayfs"
    enter_private_namespace()
    chance = random.Random(7)
    for seed in range(rounds):
        kill_one(root, kind, seed, chance.randrange(1, 60))
    print(f"survived {rounds}")


if __name__ == "__main__":
    main()
