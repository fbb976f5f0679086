"""`python -m tests.golden DIR...`: check folders of golden cases."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

from tests.golden.case import run
from tests.golden.kinds import find_cases


def main(argv: list[str]) -> int:
    options = argparse.ArgumentParser(prog="python -m tests.golden", description=__doc__)
    options.add_argument("folder", nargs="+", type=Path)
    options.add_argument("-k", metavar="TEXT", default="", help="only cases with TEXT in the name")
    options.add_argument("-q", action="store_true", help="names only, no differences")
    args = options.parse_args(argv)
    counts: Counter[str] = Counter()
    for folder in args.folder:
        if not folder.is_dir():
            print(f"{folder}: no such folder", file=sys.stderr)
            return 2
        check_folder(folder, args.k, args.q, counts)
    if not counts:
        print("no cases found")
    print(f"{counts['passed']} passed, {counts['failed']} failed")
    return 1 if counts["failed"] or not counts else 0


def check_folder(folder: Path, wanted: str, quiet: bool, counts: Counter[str]) -> None:
    for case in find_cases(folder):
        if wanted not in case.title:
            continue
        found = run(case)
        counts["failed" if found else "passed"] += 1
        if found:
            print(f"UNEQUAL {case.title}")
        if found and not quiet:
            print("".join(f"    {line}\n" for line in found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
