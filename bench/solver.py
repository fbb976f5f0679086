"""What the solver costs per vertex: graphs of trivial ops, cold and from the cache; and what it
costs to load a definition.

usage: python -m bench.solver [VERTICES ...]

Microseconds of processor time per vertex for each shape and size; flat columns mean linear cost.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import time

from croze import llb
from croze.ops.load import load
from tests.solver.arithmetic import World, build
from tests.solver.shapes import SHAPES


async def measure(shape: str, size: int, repeats: int = 3) -> tuple[float, float]:
    """Microseconds per vertex, cold and (the best of `repeats`) cached."""
    target, world = SHAPES[shape](size), World(validate=False)
    seconds = []
    async with world.solver() as solver:
        for _ in range(1 + repeats):
            gc.collect()
            started = time.process_time()
            await build(solver, target)
            seconds.append(time.process_time() - started)
    return seconds[0] / size * 1e6, min(seconds[1:]) / size * 1e6


def measure_load(size: int) -> float:
    """Microseconds per op to make vertices of a definition: a chain of files."""
    state = llb.image("base")
    for number in range(size - 1):
        state = state.file(llb.mkfile(f"/{number}", ""))
    definition = state.marshal()
    gc.collect()
    started = time.process_time()
    asyncio.run(load(definition))
    return (time.process_time() - started) / size * 1e6


def main() -> None:
    # As the daemon, which sets the collector for graphs that live long.
    gc.set_threshold(50_000, 10, 10)
    sizes = [int(word) for word in sys.argv[1:]] or [1_000, 10_000]
    print(f"{'µs per vertex':24}{'cold':>9}{'cached':>9}")
    for shape in SHAPES:
        for size in sizes:
            cold, cached = asyncio.run(measure(shape, size))
            print(f"{shape + f', {size:,}':24}{cold:9.0f}{cached:9.0f}", flush=True)
    for size in sizes:
        print(f"{f'load, {size:,}':24}{measure_load(size):9.0f}", flush=True)


if __name__ == "__main__":
    main()
