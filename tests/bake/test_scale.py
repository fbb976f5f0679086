"""Bake is quick, and twice as much is twice the work. Counted in calls of functions: a busy machine
does not change that."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from tests.bake.world import printed

HEAD = """
variable "TAG" { default = "1.0" }
function "name" {
  params = [n]
  result = "r/${n}:${TAG}"
}
target "base" {
  platforms = ["linux/amd64"]
  args = { BASE = "1" }
}
"""
PLAIN = """
target "t{n}" {{
  inherits = ["base"]
  context = "./dir{n}"
  tags = [name("app{n}"), "r/app{n}:latest"]
  args = {{
    NAME = upper("app{n}")
    V = TAG == "1.0" ? "one" : "other"
  }}
}}
"""
REFERRING = """
target "t{n}" {{
  args = {{ BASE = target.base.args.BASE, LAST = target.t{last}.context }}
  context = "./dir{n}"
}}
"""
JSON = '"t{n}": {{"inherits": ["base"], "args": {{"V": "${{upper(TAG)}}"}}, "tags": ["a:{n}"]}}'
SERVICE = "  t{n}:\n    build:\n      context: ./dir{n}\n      args: [A=1]\n    image: r/app{n}\n"


def native(block: str) -> Callable[[int], dict[str, str]]:
    def files(targets: int) -> dict[str, str]:
        names = ", ".join(f'"t{n}"' for n in range(targets))
        body = "".join(block.format(n=n, last=max(n - 1, 0)) for n in range(1, targets))
        first = block.format(n=0, last=1) if block is PLAIN else 'target "t0" {}\n'
        group = f'group "default" {{ targets = [{names}] }}\n'
        return {"docker-bake.hcl": f"{HEAD}{group}{first}{body}"}

    return files


def in_json(targets: int) -> dict[str, str]:
    names = ", ".join(f'"t{n}"' for n in range(targets))
    blocks = ",\n".join(JSON.format(n=n) for n in range(targets))
    base = '"base": {"platforms": ["linux/amd64"]}'
    text = f'"group": {{"default": {{"targets": [{names}]}}}}, "target": {{{base}, {blocks}}}'
    return {"docker-bake.json": f'{{"variable": {{"TAG": {{"default": "x"}}}}, {text}}}'}


def compose(targets: int) -> dict[str, str]:
    services = "".join(SERVICE.format(n=n) for n in range(targets))
    return {"compose.yaml": f"services:\n{services}"}


def matrix(targets: int) -> dict[str, str]:
    text = f"""
target "default" {{
  matrix = {{ n = range({targets}) }}
  name = "t${{n}}"
  args = {{ N = n, M = n % 2 == 0 ? "even" : "odd" }}
}}
"""
    return {"docker-bake.hcl": text}


def calls(files: dict[str, str], targets: int) -> int:
    """How many calls of Python functions it takes to print them all."""
    counted = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal counted
        counted += event == "call"

    sys.setprofile(count)  # not cProfile: on Python 3.14 it counts built-in functions, too
    try:
        found = printed(files)
    finally:
        sys.setprofile(None)
    assert len(found["target"]) == targets
    return counted


FORMS = {
    "plain": native(PLAIN),
    "referring": native(REFERRING),
    "json": in_json,
    "compose": compose,
    "matrix": matrix,
}


@pytest.mark.parametrize("form", FORMS)
def test_work_grows_with_the_number_of_targets(form: str) -> None:
    files = FORMS[form]
    calls(files(10), 10)
    small, large = calls(files(100), 100), calls(files(400), 400)
    assert large < small * 4 * 1.1


def test_work_for_two_thousand_lines() -> None:
    files = FORMS["plain"](200)
    assert files["docker-bake.hcl"].count("\n") >= 2000
    calls(FORMS["plain"](10), 10)
    assert calls(files, 200) < 200 * 1_200
