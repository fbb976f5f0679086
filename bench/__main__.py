"""Croze beside its peers, in one run on one machine.

usage: python -m bench [--runs N] [--only WORD]

Each line: the median of N timed builds in seconds for each builder, and how many times faster Croze
is. The builders take turns, so that a noisy machine is noisy for both.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import time
from pathlib import Path

from bench.cases import CASES, Case
from bench.peers import Peer, croze, docker
from croze.fs.remove import temporary_directory


def timed(peer: Peer, case: Case, context: Path, count: int) -> float:
    """Seconds of one build."""
    if case.cold:
        peer.forget()
    if case.touch:
        case.touch(context, count)
    started = time.monotonic()
    peer.build(context)
    return time.monotonic() - started


def measure(case: Case, peers: list[Peer], runs: int, folder: Path) -> list[float]:
    """The median seconds of each peer."""
    seconds: list[list[float]] = [[] for _ in peers]
    contexts = []
    for peer in peers:
        context = folder / peer.name
        context.mkdir(parents=True)
        case.prepare(context)
        contexts.append(context)
        if not case.cold:
            peer.build(context)
    for run in range(runs):
        for index, peer in enumerate(peers):
            seconds[index].append(timed(peer, case, contexts[index], run))
    return [statistics.median(s) for s in seconds]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--runs", type=int, default=5)
    options.add_argument("--only", default="", help="only cases with this in their name")
    args = options.parse_args()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(temporary_directory("croze-bench-")))
        peers = [stack.enter_context(p(folder / p.__name__)) for p in (croze, docker)]
        print(f"{'':36}{'croze':>9}{'docker':>9}{'faster':>9}")
        for number, case in enumerate(c for c in CASES if args.only in c.name):
            ours, theirs = measure(case, peers, args.runs, folder / f"case{number}")
            print(f"{case.name:36}{ours:8.3f}s{theirs:8.3f}s{theirs / ours:8.1f}x", flush=True)


if __name__ == "__main__":
    main()
