#!/usr/bin/env python3
"""Print the lowest versions that a project allows, and its test tools as they are locked.

usage: lowest.py PYPROJECT LOCK
"""

import re
import sys
import tomllib
from pathlib import Path

TOOLS = ("docker", "hypothesis", "pyte", "pytest", "pytest-asyncio", "pytest-timeout", "spdx-tools")
"""What the unit tests run with; which versions is not the user's business."""


def lowest(requirement: str) -> str:
    """`name>=1.2` as `name==1.2`."""
    match = re.fullmatch(r"([\w.-]+)>=([\w.]+)", requirement)
    if match is None:
        sys.exit(f"lowest.py: {requirement}: a lower bound is wanted, and nothing else")
    return f"{match[1]}=={match[2]}"


def main(project: str, lock: str) -> None:
    values = tomllib.loads(Path(project).read_text("utf-8"))
    project_table = values["project"]
    needed = project_table["dependencies"] + values["build-system"]["requires"]
    needed += project_table["optional-dependencies"]["clouds"]
    locked = dict(re.findall(r"^([\w.-]+)==([^ ;]+)", Path(lock).read_text("utf-8"), re.M))
    for requirement in needed:
        print(lowest(requirement))
    for tool in TOOLS:
        print(f"{tool}=={locked[tool]}")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
