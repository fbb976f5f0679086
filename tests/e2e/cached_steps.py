"""Which steps of a build a cache had."""

from __future__ import annotations

import re

STEPS = ("WORKDIR /src", "COPY . .", "RUN cat one two > /both", "COPY --from=build /both /both")


COLD = ("prune", "--all", "--force")


NOTHING = ("-o", "type=cacheonly")


def cached(log: str) -> set[str]:
    """The steps of `STEPS` that a plain log says are cached."""
    numbers = set(re.findall(r"^(#\d+) CACHED$", log, re.MULTILINE))
    named = re.findall(r"^(#\d+) \[[^\]]*\d/\d\] (.*)$", log, re.MULTILINE)
    return {name for number, name in named if number in numbers} & set(STEPS)


def ran(log: str) -> set[str]:
    """Those that the log names and that are not cached."""
    named = re.findall(r"^#\d+ \[[^\]]*\d/\d\] (.*)$", log, re.MULTILINE)
    return set(STEPS) & set(named) - cached(log)
