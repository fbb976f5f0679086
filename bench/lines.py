"""What is measured: each line is a build, what is different before each, and what comes of it."""

from __future__ import annotations

import functools
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench import contexts
from bench.peers import Ask, Peer, run
from tests.e2e.sandbox import BUILDX, CROZE

Prepare = Callable[[Path], None]
Measure = Callable[["Peer", Path, int], float | None]
"""Seconds of one round of a peer on its own copy of the context; rounds count from 0, and -1 is
the one that is not counted. None if the peer's client can't do it."""


@dataclass(frozen=True)
class Line:
    """`quick`: it is part of the short run. `same`: the peers' results must be equal."""

    name: str
    prepare: Prepare
    measure: Measure
    quick: bool = False
    same: bool = False


def timed(work: Callable[[], None]) -> float:
    started = time.monotonic()
    work()
    return time.monotonic() - started


def cold(peer: Peer, context: Path, _: int) -> float:
    peer.forget()
    return timed(lambda: peer.build(context))


def again(peer: Peer, context: Path, _: int) -> float:
    return timed(lambda: peer.build(context))


def changed(file: str) -> Measure:
    def measure(peer: Peer, context: Path, number: int) -> float:
        (context / file).write_text(f"changed {number}\n")
        return timed(lambda: peer.build(context))

    return measure


def exported(output: str) -> Measure:
    """To a file or a registry, everything made anew: `{to}` is a path of the peer's."""

    def measure(peer: Peer, context: Path, _: int) -> float:
        peer.forget()
        to = peer.folder / "exported"
        return timed(lambda: peer.build(context, Ask(output=output.format(to=to))))

    return measure


def loaded(file: str) -> Measure:
    """As for a Docker engine: an archive of the image, of which one file has changed."""

    def measure(peer: Peer, context: Path, number: int) -> float:
        (context / file).write_text(f"changed {number}\n")
        output = f"type=docker,dest={peer.folder / 'loaded.tar'}"
        return timed(lambda: peer.build(context, Ask(output=output)))

    return measure


def graph(*, is_cold: bool) -> Measure:
    def measure(peer: Peer, context: Path, _: int) -> float | None:
        if is_cold:
            peer.forget()
        done: list[bool] = []
        spent = timed(lambda: done.append(peer.build_graph(context / contexts.GRAPH)))
        return spent if all(done) else None

    return measure


def with_cache(to: str, from_: str = "") -> Measure:
    """With a cache export: of a build that is cached, or, with `from_`, of one that has nothing but
    that cache."""

    def measure(peer: Peer, context: Path, number: int) -> float:
        there = peer.folder / "cache"
        ask = Ask(cache_to=to.format(there=there, peer=peer.name))
        if not from_:
            return timed(lambda: peer.build(context, ask))
        if number < 0:
            peer.build(context, ask)
        peer.forget()
        ask = Ask(cache_from=from_.format(there=there, peer=peer.name))
        return timed(lambda: peer.build(context, ask))

    return measure


def at_once(count: int, *, is_cold: bool) -> Measure:
    def measure(peer: Peer, context: Path, _: int) -> float:
        copies = [context.parent / f"{context.name}-{n}" for n in range(count)]
        for number, copy in enumerate(copies):
            if not copy.exists():
                shutil.copytree(context, copy)
                (copy / "app/part0/file0.txt").write_text(f"of {number}\n")
        if is_cold:
            peer.forget()
        return timed(lambda: peer.build_many(copies))

    return measure


def client_start(peer: Peer, _: Path, __: int) -> float | None:
    """Of `croze` and of `docker-buildx`, whose place it takes; stock clients are the peer's own."""
    if peer.name == "stock":
        return None
    binary = CROZE if peer.name == "croze" else BUILDX["sid"]
    return timed(lambda: run([str(binary), "version"], peer.env))


def nothing(_: Path) -> None:
    pass


def lines(registry: str, *, quick: bool) -> list[Line]:
    """All, or those of the short run, whose sizes are a part of the long one's."""
    part = 8 if quick else 1
    found = [
        *_small(registry),
        *_rows(part),
        *_files(part),
        *_bytes(registry, part),
        *_many(part),
        *_graphs(part, 4 if quick else 1),
        Line("the client's start", nothing, client_start, quick=True),
    ]
    return [line for line in found if line.quick or not quick]


def _small(registry: str) -> list[Line]:
    five = contexts.five_stages
    local = with_cache("type=local,mode=max,dest={there}")
    shared = with_cache(
        f"type=registry,mode=max,ref={registry}/{{peer}}/cache",
        f"type=registry,ref={registry}/{{peer}}/cache",
    )
    return [
        Line("five stages, 300 files: cold", five, cold, quick=True, same=True),
        Line("five stages, 300 files: no-op", five, again, quick=True),
        Line("five stages, 300 files: one changed", five, changed("app/part0/file0.txt"), True),
        Line("cache export max, local: no-op", five, local, quick=True),
        Line("from a registry cache", five, shared, quick=True),
    ]


def _rows(part: int) -> list[Line]:
    runs = functools.partial(contexts.runs, count=40 // part)
    stages = functools.partial(contexts.parallel_stages, count=60 // part)
    return [
        Line(f"{40 // part} RUNs in a row", runs, cold, quick=True, same=True),
        Line(f"{60 // part} parallel stages", stages, cold, quick=True),
    ]


def _files(part: int) -> list[Line]:
    files = functools.partial(contexts.small_files, count=20_000 // part)
    return [
        Line(f"{20_000 // part:,} files: cold", files, cold, quick=True, same=True),
        Line(f"{20_000 // part:,} files: no-op", files, again, quick=True),
        Line(f"{20_000 // part:,} files: one changed", files, changed("src/d0/f0"), quick=True),
    ]


def _bytes(registry: str, part: int) -> list[Line]:
    large = functools.partial(contexts.large_files, megabytes=512 // part)
    pulled = f"{registry}/{{}}/large"
    zstd = exported("type=oci,dest={to}.tar,compression=zstd")
    return [
        Line(f"{512 // part} MB: copied", large, cold, quick=True),
        Line(
            f"{512 // part} MB: OCI archive, gzip", large, exported("type=oci,dest={to}.tar"), True
        ),
        Line(f"{512 // part} MB: OCI, zstd", large, zstd, quick=True),
        Line(f"{512 // part} MB: pushed", large, _pushed(pulled), quick=True),
        Line(f"{512 // part} MB: pulled and unpacked", nothing, _pulled(pulled, large), quick=True),
    ]


def _many(part: int) -> list[Line]:
    five = contexts.five_stages
    return [
        Line(f"{50 // part} builds at once: cold", five, at_once(50 // part, is_cold=True), True),
        Line(f"{50 // part} builds at once: no-op", five, at_once(50 // part, is_cold=False), True),
        Line("--load, one file changed", five, loaded("app/part0/file0.txt"), quick=True),
    ]


def _graphs(part: int, part4: int) -> list[Line]:
    vertices = functools.partial(contexts.graph, vertices=2_000 // part4)
    dockerfile = functools.partial(contexts.long_dockerfile, lines=5_000 // part)
    return [
        Line(f"LLB of {2_000 // part4:,} vertices: cold", vertices, graph(is_cold=True), True),
        Line(f"LLB of {2_000 // part4:,} vertices: cached", vertices, graph(is_cold=False), True),
        Line(f"Dockerfile of {5_000 // part:,} lines: no-op", dockerfile, again, quick=True),
    ]


def _pushed(name: str) -> Measure:
    """A layer that the registry has not seen."""

    def measure(peer: Peer, context: Path, number: int) -> float:
        (context / "big/new").write_text(f"{peer.name} {number} {time.time_ns()}")
        output = f"type=image,name={name.format(peer.name)},push=true"
        return timed(lambda: peer.build(context, Ask(output=output)))

    return measure


def _pulled(name: str, prepare: Prepare) -> Measure:
    def measure(peer: Peer, context: Path, number: int) -> float:
        image = name.format(peer.name)
        if number < 0:
            source = context.parent / f"{context.name}-source"
            source.mkdir()
            prepare(source)
            peer.build(source, Ask(output=f"type=image,name={image},push=true"))
            contexts.on_image(context, image)
        peer.forget()
        return timed(lambda: peer.build(context))

    return measure
