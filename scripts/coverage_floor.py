#!/usr/bin/env python3
"""Hold what unit tests reach of lines and branches, by package, against what they reached before.

usage: coverage_floor.py MEASURED.json FLOOR [--raise]

FLOOR has a line for each package: its name and a percentage, below which it may not fall. What has
risen well above, or is new, is told: `--raise` raises the floor to it. It is lowered by hand alone.
"""

import json
import sys
from collections import defaultdict
from pathlib import Path

MARGIN = 1
"""Points that are left: some lines are reached only when things happen in one order."""
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
    fallen = [
        f"{name}: {found[name]:.1f} % of lines and branches are reached, {floor[name]} % must be"
        for name in sorted(floor.keys() & found.keys())
        if found[name] < floor[name]
    ]
    risen = [name for name in sorted(wanted) if wanted[name] >= floor.get(name, -RISE) + RISE]
    if risen:
        print(f"coverage: more is reached than before, `make raise-floor`: {', '.join(risen)}")
    for line in fallen:
        print(f"coverage: {line}")
    if not fallen:
        print(f"coverage: {len(found)} packages, none below {floor_in}")
    return 1 if fallen else 0


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
