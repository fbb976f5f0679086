"""Build, prune and kill at random, and look afterwards whether anything was lost or left behind.

usage: python -m tests.soak [--minutes N] [--seed N] [--keep DIR]

The daemon, its workers and its clients are killed (`kill -9`) at random instants. After each start
the store is verified, and at the end nothing may be left: no mount, container, cgroup, socket,
process or temporary file. Prints the seed, a line a round, and all problems. Needs root and
`docker-registry`.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sys
import tempfile
import time
from pathlib import Path

from croze.fs.temporary import temporary_directory
from tests.e2e import images
from tests.e2e.sandbox import Sandbox, registry
from tests.soak.remains import Machine
from tests.soak.rounds import Soak


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4)))
    parser.add_argument("--keep", type=Path, help="a directory to work in, which stays")
    asked = parser.parse_args()
    print(f"seed {asked.seed}", flush=True)
    if asked.keep is not None:
        asked.keep.mkdir(parents=True, exist_ok=True)
        return soak(asked.keep, asked.seed, asked.minutes)
    with temporary_directory("soak") as folder:
        return soak(Path(folder), asked.seed, asked.minutes)


def soak(folder: Path, seed: int, minutes: float) -> int:
    """The exit code."""
    # What is put into temporary directories is to be ours alone, so that it is seen.
    temporary = folder / "tmp"
    temporary.mkdir()
    os.environ["TMPDIR"] = tempfile.tempdir = str(temporary)
    machine = Machine.now()
    sandbox = Sandbox(folder)
    layout = folder / "busybox"
    images.busybox_layout(layout)
    end = time.monotonic() + minutes * 60
    with registry(folder / "registry") as host:
        soaking = Soak(sandbox, layout, host, random.Random(seed))
        with sandbox.killing():
            problems = asyncio.run(soaking.until(end))
            problems += machine.remains(sandbox)
    for problem in problems:
        print(f"PROBLEM {problem}")
    print(f"{soaking.rounds} rounds, {soaking.done} done, {len(problems)} problems")
    return 1 if problems or not soaking.done else 0


if __name__ == "__main__":
    sys.exit(main())
