#!/usr/bin/env python3
"""Hold what unit tests reach of lines and branches, by package, against what they reached before.

usage: coverage_floor.py MEASURED.json FLOOR [--raise]

FLOOR has a line for each package: its name and a percentage, below which it may not fall. Where two
points more are reached, the floor must be raised (`--raise` does it); it is lowered by hand alone.
"""

import json
import sys
from collections import defaultdict
from pathlib import Path

MARGIN = 0.5
"""Some lines are reached only when things happen in one order and not in the other."""
RISE = 2


def measured(path: str) -> "dict[str, float]":
    """Percentages by package below `croze`; its own modules are `croze`."""
    reached, all_there = defaultdict(int), defaultdict(int)
    for name, file in json.loads(Path(path).read_text("utf-8"))["files"].items():
        parts = name.partition("croze/croze/")[2] or name.partition("croze/")[2]
        package = parts.split("/")[0] if "/" in parts else "croze"
        summary = file["summary"]
        reached[package] += summary["covered_lines"] + summary["covered_branches"]
        all_there[package] += summary["num_statements"] + summary["num_branches"]
    return {name: 100 * reached[name] / count for name, count in all_there.items() if count}


def recorded(path: str) -> "dict[str, int]":
    pairs = (line.split() for line in Path(path).read_text("utf-8").splitlines() if line)
    return {name: int(percent) for name, percent in pairs}


def main(found_in: str, floor_in: str, *flags: str) -> int:
    found, floor = measured(found_in), recorded(floor_in)
    wanted = {
        name: max(int(percent - MARGIN), floor.get(name, 0)) for name, percent in found.items()
    }
    if flags == ("--raise",):
        Path(floor_in).write_text("".join(f"{name} {wanted[name]}\n" for name in sorted(wanted)))
        return 0
    wrong = [
        f"{name}: {found[name]:.1f} % of lines and branches are reached, {floor[name]} % were"
        for name in sorted(floor.keys() & found.keys())
        if found[name] < floor[name]
    ]
    wrong += [
        f"{name}: is in {floor_in} and not there" for name in sorted(floor.keys() - found.keys())
    ]
    wrong += [
        f"{name}: {found[name]:.1f} % are reached: raise the floor to {wanted[name]}"
        for name in sorted(wanted)
        if wanted[name] >= floor.get(name, -RISE) + RISE
    ]
    for line in wrong:
        print(f"coverage: {line}")
    if not wrong:
        print(f"coverage: {len(found)} packages, none below {floor_in}")
    return 1 if wrong else 0


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
